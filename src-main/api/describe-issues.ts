import type { z } from 'zod'

type Issue = z.core.$ZodIssue

const article = (noun: string): string => (/^[aeiou]/.test(noun) ? `an ${noun}` : `a ${noun}`)

const typeWords: Record<string, string> = {
  int: 'a whole number',
  record: 'an object',
  nonoptional: 'a value',
  undefined: 'nothing',
  null: 'null',
}
const typeWord = (type: string): string => typeWords[type] ?? article(type)

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<PropertyKey, unknown>)[key]
  }
  return value
}

const units: Record<string, string> = { string: ' characters', array: ' entries', set: ' entries' }

/** Schemas say in plain words what they want; zod's own default messages begin with "Invalid". */
const ownWords = (issue: Issue, otherwise: string): string =>
  issue.message.startsWith('Invalid') ? otherwise : issue.message

function problemOf(issue: Issue, input: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return valueAt(input, issue.path) === undefined ? 'is missing' : `must be ${typeWord(issue.expected)}`
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`
    case 'too_small':
      return `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${units[issue.origin] ?? ''}`
    case 'too_big':
      return `must be ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${units[issue.origin] ?? ''}`
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`
    case 'unrecognized_keys':
      return `has unknown fields: ${issue.keys.join(', ')}`
    case 'invalid_union':
      return 'is none of the kinds there are'
    case 'invalid_key':
    case 'invalid_element': {
      const [inner] = issue.issues
      return inner === undefined ? 'is not accepted' : problemOf(inner, input)
    }
    default:
      return `is not accepted: ${ownWords(issue, 'it has the wrong form')}`
  }
}

/** Problems by field path in plain words: { "connection.port": "must be at most 65535" }. No values: they may be secrets. */
export function describeIssues(issues: readonly Issue[], input: unknown): Record<string, string> {
  const problems: Record<string, string> = {}
  for (const issue of issues) {
    const field = issue.path.map(String).join('.') || 'input'
    problems[field] ??= problemOf(issue, input)
  }
  return problems
}

/** How whoever gave the input calls a field, by its path "source.hardware.cpus". */
export type NameField = (path: string) => string
const quoted: NameField = (path) => `"${path}"`

/** One sentence: `"count" must be at least 1; "namePattern" is missing`. */
export function problemsSentence(problems: Record<string, string>, nameField = quoted): string {
  const all = Object.entries(problems).map(([field, problem]) => `${nameField(field)} ${problem}`)
  const shown = all.slice(0, 5).join('; ')
  return all.length > 5 ? `${shown}; and ${all.length - 5} more` : shown
}
