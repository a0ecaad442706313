import type { MessagePort } from 'node:worker_threads'
import { AppError } from '#shared/errors/app-error.ts'
import { decodeError, encodeError } from '#shared/errors/wire-error.ts'
import type { WireError } from '#shared/errors/wire-error.ts'
import { abortError } from './errors.ts'

/** Calls from one thread to another: a call's answer, its progress, its cancelling. Errors cross as WireError. */
export type Methods = Readonly<Record<string, (input: never, context: CallContext) => Promise<unknown>>>

export interface Progress {
  readonly bytes: number
  readonly totalBytes?: number
}

export interface CallContext {
  readonly signal: AbortSignal
  readonly report: (progress: Progress) => void
}

type CallMessage =
  | { readonly id: number; readonly method: string; readonly input: unknown }
  | { readonly id: number; readonly cancels: true }
type AnswerMessage =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: WireError }
  | { readonly id: number; readonly progress: Progress }

/** As a port of worker_threads, or the worker itself. */
export type Port = Pick<MessagePort, 'postMessage'> & {
  on(event: 'message', listener: (message: unknown) => void): unknown
}

const progressEveryMs = 100

/** Bytes that an answer consists of are handed over, not copied. */
const transferOf = (value: unknown): ArrayBuffer[] =>
  value instanceof Uint8Array &&
  value.buffer instanceof ArrayBuffer &&
  value.byteLength === value.buffer.byteLength
    ? [value.buffer]
    : []

export function serveCalls(port: Port, methods: Methods): void {
  const running = new Map<number, AbortController>()
  port.on('message', (data) => {
    const message = data as CallMessage
    if ('cancels' in message) {
      running.get(message.id)?.abort(new AppError('cancelled', 'The operation was cancelled'))
      return
    }
    const controller = new AbortController()
    running.set(message.id, controller)
    void answer(port, methods, message, controller.signal).finally(() => running.delete(message.id))
  })
}

async function answer(
  port: Port,
  methods: Methods,
  { id, method, input }: Extract<CallMessage, { method: string }>,
  signal: AbortSignal,
): Promise<void> {
  let reportedAt = 0
  let last: Progress | undefined
  const report = (progress: Progress): void => {
    last = progress
    if (performance.now() - reportedAt < progressEveryMs) return
    reportedAt = performance.now()
    last = undefined
    port.postMessage({ id, progress } satisfies AnswerMessage)
  }
  try {
    const run = methods[method] as ((input: unknown, context: CallContext) => Promise<unknown>) | undefined
    if (run === undefined) throw new AppError('bug', `There is no call ${method}`)
    const value = await run(input, { signal, report })
    if (last !== undefined) port.postMessage({ id, progress: last } satisfies AnswerMessage)
    port.postMessage({ id, value } satisfies AnswerMessage, transferOf(value))
  } catch (error) {
    port.postMessage({ id, error: encodeError(error) } satisfies AnswerMessage)
  }
}

type InputOf<M> = M extends (input: infer Input, context: CallContext) => unknown ? Input : never
type OutputOf<M> = M extends (...args: never[]) => Promise<infer Output> ? Output : never

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  readonly report: ((progress: Progress) => void) | undefined
}

export interface Caller<M extends Methods> {
  call<Name extends keyof M & string>(
    method: Name,
    input: InputOf<M[Name]>,
    options?: {
      readonly signal?: AbortSignal
      readonly report?: ((progress: Progress) => void) | undefined
      /** Parts of the input that are handed over, not copied. */
      readonly transfer?: readonly ArrayBuffer[]
    },
  ): Promise<OutputOf<M[Name]>>
  /** All that is under way and all that is called later ends with this error. */
  end(error: AppError): void
  readonly isEnded: boolean
}

/** @param onBusy called with true when a first call is under way, with false when none is any more */
export function createCaller<M extends Methods>(port: Port, onBusy: (isBusy: boolean) => void): Caller<M> {
  const pending = new Map<number, Pending>()
  let nextId = 0
  let ended: AppError | undefined
  const settle = (id: number): Pending | undefined => {
    const found = pending.get(id)
    pending.delete(id)
    if (found !== undefined && pending.size === 0) onBusy(false)
    return found
  }
  port.on('message', (data) => {
    const message = data as AnswerMessage
    if ('progress' in message) pending.get(message.id)?.report?.(message.progress)
    else if ('error' in message) settle(message.id)?.reject(decodeError(message.error))
    else settle(message.id)?.resolve(message.value)
  })
  return {
    async call(method, input, { signal, report, transfer = [] } = {}) {
      if (ended !== undefined) throw ended
      if (signal?.aborted === true) throw abortError(signal)
      const id = nextId++
      const { promise, resolve, reject } = Promise.withResolvers<unknown>()
      pending.set(id, { resolve, reject, report })
      if (pending.size === 1) onBusy(true)
      // The answer tells what had happened by then; so a cancelled call still waits for it.
      const onAbort = (): void => port.postMessage({ id, cancels: true } satisfies CallMessage)
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        port.postMessage({ id, method, input } satisfies CallMessage, transfer)
        return (await promise) as OutputOf<M[typeof method]>
      } finally {
        signal?.removeEventListener('abort', onAbort)
      }
    },
    get isEnded() {
      return ended !== undefined
    },
    end(error) {
      ended ??= error
      for (const id of pending.keys()) settle(id)?.reject(error)
    },
  }
}
