/**
 * Whether a test that needs `name` (browser, electron, lab) has to run: with GANTRY_REQUIRE naming it, a missing
 * component is a failure and not a skip.
 */
export const isRequired = (name: string): boolean =>
  (process.env['GANTRY_REQUIRE'] ?? '').split(',').some((text) => text.trim() === name)

/** The reason to skip, printed; undefined: run. Throws when it is required. */
export function skipReason(name: string, missing: string | undefined): string | undefined {
  if (missing === undefined) return undefined
  if (isRequired(name)) throw new Error(`GANTRY_REQUIRE names ${name}, but ${missing}`)
  process.stderr.write(`skipped: ${name} tests, because ${missing}\n`)
  return missing
}
