import { AppError, toAppError } from '#shared/errors/app-error.ts'
import { InitiatorLogin } from '#main/protocols/iscsi/initiator-login.ts'
import type { InitiatorLoginStep } from '#main/protocols/iscsi/initiator-login.ts'
import { malformed } from '#main/protocols/iscsi/malformed.ts'
import { Connection } from './connection.ts'
import { abortError } from './errors.ts'
import { formatPortal, parsePortal } from './portal.ts'
import { defaultTiming, defaultWishes } from './session-options.ts'
import type { SessionOptions } from './session-options.ts'

export type LoggedIn = Extract<InitiatorLoginStep, { kind: 'done' }>

const mostRedirects = 4
const firstCmdSn = 1

/**
 * Connects and logs in, following the target to other addresses. `onDone` takes over the connection before its next
 * PDU is looked at. Throws unreachable, timeout, auth-failed, not-found, busy, not-supported, device-rejected, and
 * cancelled; nothing was done on the device then.
 */
export async function logIn<T>(
  options: SessionOptions,
  signal: AbortSignal,
  onDone: (connection: Connection, result: LoggedIn) => T,
): Promise<T> {
  const { connectMs } = { ...defaultTiming, ...options.timing }
  let portal = options.portal
  const timeout = AbortSignal.timeout(connectMs)
  const either = AbortSignal.any([signal, timeout])
  try {
    let way = options
    for (let turn = 0; turn <= mostRedirects; turn++) {
      const connection = await Connection.connect(portal, either)
      const step = await negotiate(connection, way, either, onDone)
      if (step.kind === 'done') return step.value
      if (step.kind === 'redirect') portal = parsePortal(step.address)
      else way = { ...way, chapAlgorithms: step.chapAlgorithms }
    }
    throw new AppError(
      'device-rejected',
      `The target sent us on to another address ${mostRedirects + 1} times`,
    )
  } catch (error) {
    if (signal.aborted) throw abortError(signal)
    if (timeout.aborted)
      throw new AppError(
        'timeout',
        `The portal ${formatPortal(portal)} did not log us in within ${connectMs} ms`,
        {
          cause: error,
        },
      )
    throw error
  }
}

type End<T> =
  { readonly kind: 'done'; readonly value: T } | Extract<InitiatorLoginStep, { kind: 'redirect' | 'again' }>

async function negotiate<T>(
  connection: Connection,
  options: SessionOptions,
  signal: AbortSignal,
  onDone: (connection: Connection, result: LoggedIn) => T,
): Promise<End<T>> {
  const { promise, resolve, reject } = Promise.withResolvers<End<T>>()
  const { initiatorName, isid, targetName, credentials, targetCredentials, chapAlgorithms } = options
  const onAbort = (): void => connection.close(abortError(signal))
  try {
    const login = new InitiatorLogin({
      initiatorName,
      isid,
      cid: 0,
      cmdSn: firstCmdSn,
      wishes: { ...defaultWishes, ...options.wishes },
      ...(targetName === undefined ? {} : { targetName }),
      ...(credentials === undefined ? {} : { credentials }),
      ...(targetCredentials === undefined ? {} : { targetCredentials }),
      ...(chapAlgorithms === undefined ? {} : { chapAlgorithms }),
    })
    const go = (step: InitiatorLoginStep): void => {
      if (step.kind === 'send') {
        connection.writer.begin(step.header)
        connection.writer.end(step.data)
      } else if (step.kind === 'done') {
        resolve({ kind: 'done', value: onDone(connection, step) })
      } else {
        resolve(step)
        connection.close(new AppError('unreachable', 'The login goes on over another connection'))
      }
    }
    connection.use({
      onHeader: () => false,
      onPdu: (header, offset, ahsBytes, data) => {
        if (ahsBytes > 0) throw malformed('login', 4, 'no AHS', ahsBytes)
        go(login.receive(header.subarray(offset, offset + 48), data))
      },
      onTurn: () => undefined,
      onClose: reject,
    })
    signal.addEventListener('abort', onAbort, { once: true })
    go(login.start())
    connection.flushLater()
    return await promise
  } catch (error) {
    connection.close(toAppError(error))
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

export const firstCommandSn = firstCmdSn
