import { AppError } from '#shared/errors/app-error.ts'
import { printable } from './io.ts'
import { present } from './parse-options.ts'
import type { Tools } from './tools.ts'

export interface ConfirmOptions {
  readonly yes?: boolean | undefined
  /** Where the question itself does not name it. */
  readonly object?: string
  /** What to do where nobody can be asked. */
  readonly advice: string
}

/** Returns when the person agrees. Throws cancelled when not, bad-request when there is nobody to ask. */
export async function confirm({ io }: Tools, question: string, options: ConfirmOptions): Promise<void> {
  if (options.yes === true) return
  if (!io.canAsk)
    throw new AppError('bad-request', `This must be confirmed: ${question}`, {
      ...present({ object: options.object }),
      advice: options.advice,
    })
  const answer = await io.ask(
    `${printable(question)} [y/N] `,
    { hidden: false },
    new AbortController().signal,
  )
  if (!/^y(es)?$/i.test(answer?.trim() ?? ''))
    throw new AppError('cancelled', 'Not confirmed', { advice: 'Nothing was changed.' })
}
