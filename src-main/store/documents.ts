import type { z } from 'zod'
import { AppError } from '#shared/errors/app-error.ts'

/**
 * A value as the JSON that is stored: only what the schema knows. A key that has no place in the schema (a password
 * put into a connection by mistake) does not reach the disk. Throws bad-request.
 */
export function encodeDocument<S extends z.ZodType>(
  schema: S,
  value: z.output<S>,
  object: string,
): { readonly document: z.output<S>; readonly text: string } {
  const parsed = schema.safeParse(value)
  if (!parsed.success)
    throw new AppError('bad-request', 'It does not have the shape that the inventory keeps', {
      object,
      cause: parsed.error,
    })
  return { document: parsed.data, text: JSON.stringify(parsed.data) }
}

/** Stored JSON as a value of the schema. Throws bug when the database holds something else. */
export function decodeDocument<S extends z.ZodType>(schema: S, text: string, object: string): z.output<S> {
  const parsed = schema.safeParse(JSON.parse(text))
  if (!parsed.success)
    throw new AppError('bug', 'The inventory holds a record that this version cannot read', {
      object,
      cause: parsed.error,
    })
  return parsed.data
}

/** The found value, or not-found naming the object. */
export function required<T>(found: T | undefined, object: string): T {
  if (found === undefined) throw new AppError('not-found', 'It is not in the inventory', { object })
  return found
}
