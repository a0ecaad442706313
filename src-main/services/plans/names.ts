import { nameSchema } from '#shared/domain/names.ts'
import { AppError } from '#shared/errors/app-error.ts'

const counter = /\{n(?::(0?)(\d{1,2}))?\}/

/**
 * "web-{n:03}", 2 -> ["web-001", "web-002"]; names in `taken` are passed over. A pattern without {n} is one name.
 * Throws bad-request for a name that no device takes, and for one fixed name that is taken.
 */
export function expandNames(pattern: string, count: number, taken: ReadonlySet<string>): string[] {
  const found = counter.exec(pattern)
  if (found === null) {
    if (count > 1)
      throw new AppError('bad-request', `${count} deployments cannot all be named "${pattern}"`, {
        object: `name pattern ${pattern}`,
        advice: 'Put {n} into the name pattern: web-{n} or web-{n:03}.',
      })
    if (taken.has(pattern))
      throw new AppError('bad-request', `The name "${pattern}" is taken`, {
        object: `deployment ${pattern}`,
        advice: 'Choose another name, or a pattern with {n}.',
      })
    return [checked(pattern)]
  }
  const width = found[1] === '0' ? Number(found[2]) : 0
  const names: string[] = []
  for (let n = 1; names.length < count; n += 1) {
    const name = pattern.replace(counter, () => String(n).padStart(width, '0'))
    if (!taken.has(name)) names.push(checked(name))
  }
  return names
}

function checked(name: string): string {
  const parsed = nameSchema.safeParse(name)
  if (!parsed.success)
    throw new AppError('bad-request', `"${name}" cannot be a name`, {
      object: 'name pattern',
      advice: `Choose names that every device takes: ${parsed.error.issues[0]?.message ?? ''}.`,
    })
  return name
}
