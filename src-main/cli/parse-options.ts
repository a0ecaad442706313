import { resolve } from 'node:path'
import { InvalidArgumentError } from 'commander'
import { AppError } from '#shared/errors/app-error.ts'
import { parseBytes } from '#shared/units/bytes.ts'
import { parseDuration } from '#shared/units/duration.ts'

/** Commander names the option in front of this message. */
const refused = (error: unknown): InvalidArgumentError =>
  error instanceof AppError
    ? new InvalidArgumentError(`${error.message}. ${error.advice ?? ''}`.trim())
    : new InvalidArgumentError(String(error))

const parser =
  <Value>(parse: (text: string) => Value) =>
  (text: string): Value => {
    try {
      return parse(text)
    } catch (error) {
      throw refused(error)
    }
  }

export const sizeOption = parser(parseBytes)
export const durationOption = parser(parseDuration)

export function wholeNumberOption(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It is not a whole number.')
  return Number(text)
}

export function percentOption(text: string): number {
  if (!/^\d+(\.\d+)?%?$/.test(text)) throw new InvalidArgumentError('It is not a number of per cent.')
  return Number.parseFloat(text)
}

/** Collects an option that may be given several times. */
export const repeated = (text: string, before: readonly string[] | undefined): string[] => [
  ...(before ?? []),
  text,
]

/** Collects NAME=VALUE options; a name given twice is refused. */
export function keyValue(
  text: string,
  before: Readonly<Record<string, string>> | undefined,
): Record<string, string> {
  const at = text.indexOf('=')
  const name = text.slice(0, at)
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError('Write it as NAME=VALUE.')
  if (before !== undefined && Object.hasOwn(before, name))
    throw new InvalidArgumentError(`"${name}" is given twice.`)
  return { ...before, [name]: text.slice(at + 1) }
}

/** A file of this computer: absolute, because the inventory outlives the current folder. */
export const fileOption = (text: string): string => resolve(text)
export const repeatedFile = (text: string, before: readonly string[] | undefined): string[] =>
  repeated(resolve(text), before)

/** The fields that have a value: contracts say "left out", never "undefined". */
export const present = <Fields extends object>(
  fields: Fields,
): { [Key in keyof Fields]?: Exclude<Fields[Key], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [Key in keyof Fields]?: Exclude<Fields[Key], undefined>
  }
