import type { Client } from 'ssh2'
import { AppError } from '#shared/errors/app-error.ts'
import { withEffect } from './errors.ts'
import type { Link } from './link.ts'

/** What is opened on a channel: a command, a file service. */
export interface ChannelKind<C> {
  /** What the device may have done once it was asked: the effect of an error without an answer. */
  readonly effect: AppError['effect']
  /** Calls back with the channel, in the very call in which it opens. */
  open(client: Client, settle: (result: C | Error) => void): void
  /** One that is open already. */
  readonly openedAhead?: (link: Link) => C | undefined
  /** Calls back when the channel is closed. */
  onClose(channel: C, done: () => void): void
  /** Ends a channel that nobody waits for any more. */
  drop(channel: C): void
  /** The device opens channels, but not for this. */
  refusal(reason: Error, object: string): AppError
}

export type OpenOutcome<C> =
  | { readonly state: 'open'; readonly channel: C }
  /** The device allows no more channels than are open now; nothing was sent. `mayRetry`: some of them are ours. */
  | { readonly state: 'full'; readonly mayRetry: boolean }
  /** The connection was lost before the device was asked for anything that it could have done. */
  | { readonly state: 'lost' }

/**
 * Opens a channel. Throws the kind's refusal, unreachable (with the kind's effect), and the signal's reason; a channel
 * that opens after the signal is closed at once.
 */
export async function openChannel<C extends object>(
  link: Link,
  kind: ChannelKind<C>,
  object: string,
  signal: AbortSignal,
  release: () => void,
): Promise<OpenOutcome<C>> {
  let mayRetry = false
  const others = link.slots.taken - 1
  const result = await new Promise<C | (Error & { readonly reason?: unknown })>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const settle = (value: C | (Error & { readonly reason?: unknown })): void => {
      signal.removeEventListener('abort', onAbort)
      if (value instanceof Error) {
        if (typeof value.reason === 'number') mayRetry = link.slots.lowerLimit(others)
        release()
      } else {
        kind.onClose(value, release)
        if (signal.aborted) kind.drop(value)
      }
      resolve(value)
    }
    try {
      kind.open(link.client, settle)
    } catch (error) {
      settle(error instanceof Error ? error : new Error(String(error)))
    }
  })
  if (!(result instanceof Error)) return { state: 'open', channel: result }
  // ssh2's own words: these two come before the request has left, "Unable to exec" after.
  if (result.message === 'Not connected' || result.message === 'No response from server')
    return { state: 'lost' }
  if (typeof result.reason === 'number') return { state: 'full', mayRetry }
  if (link.lost !== undefined) {
    if (kind.effect === 'none') return { state: 'lost' }
    throw withEffect(link.lost, kind.effect)
  }
  throw kind.refusal(result, object)
}
