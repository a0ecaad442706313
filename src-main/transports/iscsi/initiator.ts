import { randomBytes } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { AppError } from '#shared/errors/app-error.ts'
import type { ChapCredentials } from '#main/protocols/iscsi/chap.ts'
import type { DigestChoice } from '#main/protocols/iscsi/parameters.ts'
import type { DiscoveredTarget } from './discovery.ts'
import { createDevice } from './iscsi-device.ts'
import type { IscsiDevice } from './iscsi-device.ts'
import { parsePortal } from './portal.ts'
import type { SessionTiming } from './session-options.ts'
import type { InitiatorMethods } from './worker-methods.ts'
import { createCaller } from './worker-port.ts'
import type { Caller } from './worker-port.ts'

export interface LoginWay {
  /** "host:port". */
  readonly portal: string
  /** What this initiator proves to a target that asks. */
  readonly credentials?: ChapCredentials
  /** What the target must prove (mutual CHAP). */
  readonly targetCredentials?: ChapCredentials
  /** Checksums of headers and data: those that are admitted, the preferred first. Default: none, unless the target wants them. */
  readonly headerDigest?: readonly DigestChoice[]
  readonly dataDigest?: readonly DigestChoice[]
  readonly timing?: Partial<SessionTiming>
}

export interface OpenLun extends LoginWay {
  readonly target: string
  readonly lun: number
  /** For messages: "LUN web of array lab". */
  readonly name?: string
  readonly readOnly?: boolean
  readonly reconnectMs?: number
}

/**
 * The iSCSI initiator of the console. Sessions and their data live in a worker thread, which runs while something is
 * open. Errors: unreachable, timeout, auth-failed, not-found, busy, not-supported, device-rejected, stale, cancelled.
 */
export interface IscsiInitiator {
  readonly name: string
  discover(way: LoginWay, signal: AbortSignal): Promise<DiscoveredTarget[]>
  listLuns(way: LoginWay & { readonly target: string }, signal: AbortSignal): Promise<number[]>
  /** A session of its own for each call: the same LUN may be opened several times. */
  open(lun: OpenLun, signal: AbortSignal): Promise<IscsiDevice>
  /** Logs out everywhere. */
  close(): Promise<void>
}

export function createIscsiInitiator(name: string): IscsiInitiator {
  let running: { readonly worker: Worker; readonly caller: Caller<InitiatorMethods> } | undefined
  const caller = (): Caller<InitiatorMethods> => {
    running ??= startWorker(() => {
      running = undefined
    })
    return running.caller
  }
  const session = ({ portal, headerDigest, dataDigest, ...way }: LoginWay) => ({
    ...way,
    portal: parsePortal(portal),
    initiatorName: name,
    isid: newIsid(),
    wishes: {
      ...(headerDigest === undefined ? {} : { headerDigest }),
      ...(dataDigest === undefined ? {} : { dataDigest }),
    },
  })
  return {
    name,
    discover: async (way, signal) => caller().call('discover', session(way), { signal }),
    listLuns: async ({ target, ...way }, signal) =>
      caller().call('listLuns', { ...session(way), targetName: target }, { signal }),
    async open({ target, ...lun }, signal) {
      const used = caller()
      return createDevice(
        used,
        await used.call('open', { ...lun, ...session(lun), targetName: target }, { signal }),
      )
    },
    async close() {
      if (running === undefined) return
      const { worker, caller: used } = running
      running = undefined
      await used.call('closeAll', undefined)
      used.end(new AppError('bad-request', 'The initiator was closed'))
      await worker.terminate()
    },
  }
}

/** Of the random format (RFC 7143, section 11.12.5): no two sessions of this initiator have the same. */
const newIsid = (): Uint8Array => {
  const isid = new Uint8Array(randomBytes(6))
  isid[0] = 0x80
  return isid
}

/** The sources run as they are; the build has the worker beside what was built of this file. */
const workerUrl = (): URL =>
  new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './iscsi-worker.cjs', import.meta.url)

function startWorker(onEnd: () => void): {
  readonly worker: Worker
  readonly caller: Caller<InitiatorMethods>
} {
  const worker = new Worker(workerUrl(), { name: 'iscsi' })
  // Open LUNs alone do not keep the program running.
  worker.unref()
  const caller = createCaller<InitiatorMethods>(worker, (isBusy) => (isBusy ? worker.ref() : worker.unref()))
  const end = (cause?: Error): void => {
    onEnd()
    caller.end(
      new AppError('bug', 'The thread of the iSCSI sessions has ended', {
        effect: 'unknown',
        ...(cause === undefined ? {} : { cause }),
      }),
    )
  }
  worker.on('error', end)
  worker.on('exit', () => end())
  return { worker, caller }
}
