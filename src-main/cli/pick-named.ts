import { AppError } from '#shared/errors/app-error.ts'

/** The entry with this name. Throws not-found. */
export function pickNamed<Entry extends { readonly config: { readonly name: string } }>(
  entries: readonly Entry[],
  what: 'array' | 'host',
  name: string,
): Entry {
  const entry = entries.find(({ config }) => config.name === name)
  if (entry === undefined)
    throw new AppError('not-found', `There is no such ${what}`, {
      object: `${what} ${name}`,
      advice: `"gantry ${what} list" shows the known ones.`,
    })
  return entry
}
