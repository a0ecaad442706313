import type { z } from 'zod'

/** A call: one object in, one value out, answered within seconds. */
export interface CallDefinition<I extends z.ZodType = z.ZodType, O extends z.ZodType = z.ZodType> {
  readonly input: I
  readonly output: O
}
export type Calls = Record<string, CallDefinition>

/** Total: a missing handler does not compile. */
export type Handlers<C extends Calls> = {
  readonly [Name in keyof C]: (input: z.output<C[Name]['input']>) => Promise<z.input<C[Name]['output']>>
}
export type CallInput<C extends Calls, Name extends keyof C> = z.input<C[Name]['input']>
export type CallOutput<C extends Calls, Name extends keyof C> = z.output<C[Name]['output']>

export const call = <I extends z.ZodType, O extends z.ZodType>(
  input: I,
  output: O,
): CallDefinition<I, O> => ({ input, output })
