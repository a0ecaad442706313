import { z } from 'zod'
import { AppError, errorCodes, toAppError } from './app-error.ts'

/** An AppError as it crosses a process border: no stack; the causes' messages survive. */
export const wireErrorSchema = z.object({
  code: z.enum(errorCodes),
  message: z.string(),
  object: z.string().optional(),
  advice: z.string().optional(),
  effect: z.enum(['none', 'unknown', 'done']),
  facts: z.record(z.string(), z.string()),
  causes: z.array(z.string()),
})
export type WireError = z.infer<typeof wireErrorSchema>

export function encodeError(error: unknown): WireError {
  const appError = toAppError(error)
  const causes: string[] = []
  for (let cause = appError.cause; cause instanceof Error && causes.length < 8; cause = cause.cause)
    causes.push(cause.message)
  return {
    code: appError.code,
    message: appError.message,
    ...(appError.object === undefined ? {} : { object: appError.object }),
    ...(appError.advice === undefined ? {} : { advice: appError.advice }),
    effect: appError.effect,
    facts: { ...appError.facts },
    causes,
  }
}

export function decodeError(wire: WireError): AppError {
  const cause = wire.causes.reduceRight<Error | undefined>(
    (inner, message) => new Error(message, inner === undefined ? undefined : { cause: inner }),
    undefined,
  )
  return new AppError(wire.code, wire.message, {
    effect: wire.effect,
    facts: wire.facts,
    ...(wire.object === undefined ? {} : { object: wire.object }),
    ...(wire.advice === undefined ? {} : { advice: wire.advice }),
    ...(cause === undefined ? {} : { cause }),
  })
}
