import type { ChapAlgorithm, ChapCredentials } from '#main/protocols/iscsi/chap.ts'
import type { OperationalWishes } from '#main/protocols/iscsi/parameters.ts'
import type { Portal } from './portal.ts'

export interface SessionTiming {
  /** For TCP and login together. */
  readonly connectMs: number
  /** Quiet time after which the target is asked whether it is there. */
  readonly keepAliveMs: number
  /** Quiet time after that question until the connection counts as dead. */
  readonly deadMs: number
  /** How long the target may take to abort a task. */
  readonly abortMs: number
}

export const defaultTiming: SessionTiming = {
  connectMs: 15_000,
  keepAliveMs: 5_000,
  deadMs: 10_000,
  abortMs: 10_000,
}

export interface SessionOptions {
  readonly portal: Portal
  readonly initiatorName: string
  /** undefined: a discovery session. */
  readonly targetName?: string
  /** 6 bytes; the same again reinstates a session that was lost. */
  readonly isid: Uint8Array
  readonly credentials?: ChapCredentials
  readonly targetCredentials?: ChapCredentials
  /** Default: all that are known. */
  readonly chapAlgorithms?: readonly ChapAlgorithm[]
  readonly wishes?: Partial<OperationalWishes>
  readonly timing?: Partial<SessionTiming>
  /** Most commands under way at a time, below the target's own limit. */
  readonly depth?: number
}

/** Large bursts save round trips; what is received is checked against them, not allocated by them. */
export const defaultWishes: OperationalWishes = {
  headerDigest: ['None', 'CRC32C'],
  dataDigest: ['None', 'CRC32C'],
  maxConnections: 1,
  initialR2T: false,
  immediateData: true,
  maxRecvDataSegmentLength: 1024 * 1024,
  maxBurstLength: 16_776_192,
  firstBurstLength: 262_144,
  defaultTime2Wait: 0,
  defaultTime2Retain: 0,
  maxOutstandingR2T: 16,
  dataPduInOrder: true,
  dataSequenceInOrder: true,
  errorRecoveryLevel: 0,
}
