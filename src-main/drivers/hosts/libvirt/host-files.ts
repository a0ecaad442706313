import { AppError } from '#shared/errors/app-error.ts'
import { inspectImage } from '#main/protocols/images/inspect.ts'
import type { FoundImage } from '#main/protocols/images/container-disk.ts'
import { runInspections, type WantedRanges } from '#main/protocols/images/run-inspections.ts'
import type { NamedImage } from '#main/protocols/domain-xml/template-domain.ts'
import { lines, sh } from '#main/transports/shell/script.ts'
import { stdoutText, type Shell } from '#main/transports/shell/shell.ts'

interface HostFile extends NamedImage {
  readonly sizeBytes: number
  /** With symbolic links resolved. */
  readonly realPath: string
}

/** Sizes of the files; each must be a regular file, also behind symbolic links, and readable. */
async function measure(shell: Shell, files: readonly NamedImage[], signal: AbortSignal): Promise<HostFile[]> {
  const script = lines(
    sh`m() { if [ ! -e "$1" ]; then echo missing; elif [ ! -f "$1" ]; then echo special
elif [ ! -r "$1" ]; then echo unreadable; else stat -L -c %s -- "$1"; fi; readlink -f -- "$1" || echo; }`,
    ...files.map(({ path }) => sh`m ${path}`),
  )
  const answers = stdoutText(await shell.run(script, { signal })).split('\n')
  return files.map((file, index) => {
    const [size = '', realPath = ''] = answers.slice(index * 2, index * 2 + 2)
    const object = file.path
    if (size === 'missing')
      throw new AppError('not-found', `"${file.path}" is not on ${shell.name}`, { object })
    if (!/^\d+$/.test(size))
      throw new AppError(
        'bad-request',
        `"${file.path}" is ${size === 'special' ? 'not a regular file' : 'not readable'} on ${shell.name}`,
        { object },
      )
    return { ...file, sizeBytes: Number(size), realPath }
  })
}

async function readRanges(
  shell: Shell,
  files: readonly HostFile[],
  wanted: readonly WantedRanges[],
  signal: AbortSignal,
): Promise<Uint8Array[][]> {
  const script = lines(
    sh`b() { tail -c "+$2" -- "$1" | head -c "$3" | base64 | tr -d '\\n'; echo; }`,
    ...wanted.flatMap(({ index, ranges }) =>
      ranges.map(({ offset, lengthBytes }) => sh`b ${files[index]?.path ?? ''} ${offset + 1} ${lengthBytes}`),
    ),
  )
  const answers = stdoutText(await shell.run(script, { signal })).split('\n')
  let line = 0
  return wanted.map(({ ranges }) =>
    ranges.map(() => new Uint8Array(Buffer.from(answers[line++] ?? '', 'base64'))),
  )
}

/**
 * Which images the files on the host are. `insideOf`: they must lie in this directory itself, also when symbolic
 * links are followed. Throws not-found, bad-request, not-supported.
 */
export async function inspectHostImages(
  shell: Shell,
  named: readonly NamedImage[],
  signal: AbortSignal,
  insideOf?: string,
): Promise<FoundImage[]> {
  const files = await measure(shell, named, signal)
  for (const file of files)
    if (insideOf !== undefined && file.realPath.slice(0, file.realPath.lastIndexOf('/')) !== insideOf)
      throw new AppError('bad-request', `"${file.path}" leads out of the folder to ${file.realPath}`, {
        object: file.path,
        advice: 'Put the image itself into the folder.',
      })
  const facts = await runInspections(
    files.map((file) => inspectImage(file.path, file.sizeBytes)),
    (wanted) => readRanges(shell, files, wanted, signal),
  )
  return files.flatMap(({ path, sizeBytes, claimedFormat }, index) => {
    const found = facts[index]
    if (found === undefined) return []
    return [
      { source: path, sizeBytes, facts: found, ...(claimedFormat === undefined ? {} : { claimedFormat }) },
    ]
  })
}
