import type { Check } from '#shared/domain/storage.ts'

/** One line per check, the advice under those that failed. */
export const describeChecks = (checks: readonly Check[]): string[] =>
  checks.flatMap(({ name, ok, detail, advice }) => [
    `  ${ok ? 'ok     ' : 'missing'}  ${name}${detail === '' ? '' : `: ${detail}`}`,
    ...(ok || advice === undefined ? [] : [`           ${advice}`]),
  ])
