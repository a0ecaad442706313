import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { cruise, type ICruiseResult } from 'dependency-cruiser'

/** A rule file that reads no modules finds no violations: fewer than this many is a failure of the check itself. */
const fewestModules = 60

const root = join(import.meta.dirname, '..', '..')

/** Holds the folders `src-*` below `base` against the rules. */
export async function checkDependencies(base: string): Promise<{ modules: number; violations: string[] }> {
  const { default: rules } = (await import(pathToFileURL(join(root, '.dependency-cruiser.cjs')).href)) as {
    default: { forbidden: []; options: Record<string, unknown> }
  }
  const { options, ...ruleSet } = rules
  const result = await cruise(
    ['src-main', 'src-shared', 'src-preload', 'src-renderer'],
    { ...options, baseDir: base, validate: true, ruleSet },
    { conditionNames: ['import', 'node', 'default', 'types'], exportsFields: ['exports'] },
  )
  const { summary } = result.output as ICruiseResult
  return {
    modules: summary.totalCruised,
    violations: summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`),
  }
}

if (process.argv[1] === import.meta.filename) {
  const { modules, violations } = await checkDependencies(root)
  for (const line of violations) process.stderr.write(`${line}\n`)
  process.stdout.write(`${modules} modules read, ${violations.length} forbidden imports\n`)
  if (modules < fewestModules)
    process.stderr.write(`Only ${modules} modules were read: the check is broken\n`)
  process.exitCode = violations.length > 0 || modules < fewestModules ? 1 : 0
}
