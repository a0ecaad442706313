import type { WireError } from '#shared/errors/wire-error.ts'

/** A fault of the page itself in the form that errors of the core have. */
export function encodeFault(error: unknown): WireError {
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'bug', message, effect: 'none', facts: {}, causes: [] }
}
