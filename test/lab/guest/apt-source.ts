import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface AptSource {
  readonly mirror: string
  readonly suite: string
}

/** sources.list(5), one-line style: "deb [options] URI suite component...". */
const fromLine = (line: string) => {
  const match = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)$/.exec(line.trim())
  if (match === null) return []
  const [, uri = '', suite = '', components = ''] = match
  return [{ uris: [uri], suites: [suite], components: components.split(/\s+/) }]
}

/** sources.list(5), deb822 style: paragraphs of "Field: values". Continuation lines are not used in these fields. */
const fromParagraph = (paragraph: string) => {
  const field = (name: string) =>
    new RegExp(`^${name}:\\s*(.*)$`, 'im').exec(paragraph)?.[1]?.trim().split(/\s+/) ?? []
  if (!field('Types').includes('deb') || field('Enabled').includes('no')) return []
  return [{ uris: field('URIs'), suites: field('Suites'), components: field('Components') }]
}

/** The mirror that this computer's apt uses for its own release. Throws when apt has none: not a Debian, say. */
export function findAptSource(root = '/'): AptSource {
  const release = readFileSync(join(root, 'etc/os-release'), 'utf8')
  const suite = /^VERSION_CODENAME=(\S+)$/m.exec(release)?.[1] ?? ''
  const folder = join(root, 'etc/apt/sources.list.d')
  const files = [
    join(root, 'etc/apt/sources.list'),
    ...(existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []),
  ].filter((file) => existsSync(file))
  const sources = files.flatMap((file) => {
    const text = readFileSync(file, 'utf8')
    if (file.endsWith('.sources')) return text.split(/\n\s*\n/).flatMap(fromParagraph)
    return file.endsWith('.list') ? text.split('\n').flatMap(fromLine) : []
  })
  const source = sources.find(
    ({ suites, components }) => suites.includes(suite) && components.includes('main'),
  )
  const mirror = source?.uris[0]
  if (suite === '' || mirror === undefined)
    throw new Error(
      `No source for the component main of the release "${suite}" in ${files.join(', ') || '/etc/apt'}`,
    )
  return { mirror, suite }
}
