/** What a session works by after login (RFC 7143, section 13). Lengths in bytes, times in seconds. */
export interface OperationalParameters {
  readonly headerDigest: boolean
  readonly dataDigest: boolean
  readonly maxConnections: number
  readonly initialR2T: boolean
  readonly immediateData: boolean
  /** MaxRecvDataSegmentLength: what this side declared, and what the other did. */
  readonly maxRecvDataSegmentLength: number
  readonly maxSendDataSegmentLength: number
  readonly maxBurstLength: number
  readonly firstBurstLength: number
  readonly defaultTime2Wait: number
  readonly defaultTime2Retain: number
  readonly maxOutstandingR2T: number
  readonly dataPduInOrder: boolean
  readonly dataSequenceInOrder: boolean
  readonly errorRecoveryLevel: number
}

export type DigestChoice = 'None' | 'CRC32C'

/** What one side wants; the result is never beyond it. Digests: those it admits, the preferred first. */
export interface OperationalWishes extends Omit<
  OperationalParameters,
  'headerDigest' | 'dataDigest' | 'maxSendDataSegmentLength'
> {
  readonly headerDigest: readonly DigestChoice[]
  readonly dataDigest: readonly DigestChoice[]
}

/** What holds for a key that nobody speaks of. */
export const defaultParameters: OperationalParameters = {
  headerDigest: false,
  dataDigest: false,
  maxConnections: 1,
  initialR2T: true,
  immediateData: true,
  maxRecvDataSegmentLength: 8192,
  maxSendDataSegmentLength: 8192,
  maxBurstLength: 262_144,
  firstBurstLength: 65_536,
  defaultTime2Wait: 2,
  defaultTime2Retain: 20,
  maxOutstandingR2T: 1,
  dataPduInOrder: true,
  dataSequenceInOrder: true,
  errorRecoveryLevel: 0,
}

export type Rule =
  | { readonly kind: 'digest' }
  | { readonly kind: 'boolean'; readonly combine: 'and' | 'or' }
  | { readonly kind: 'number'; readonly combine: 'min' | 'max'; readonly low: number; readonly high: number }

type NegotiatedName = Exclude<keyof OperationalWishes, 'maxRecvDataSegmentLength'>

const lengths = { kind: 'number', combine: 'min', low: 512, high: 0xffffff } as const
const orRule = { kind: 'boolean', combine: 'or' } as const
const small = (combine: 'min' | 'max', low: number, high: number) =>
  ({ kind: 'number', combine, low, high }) as const

/** Keys that are negotiated: how the result follows from both sides. */
export const rules: Readonly<
  Record<string, Rule & { readonly name: NegotiatedName; readonly isForDiscovery?: true }>
> = {
  HeaderDigest: { name: 'headerDigest', kind: 'digest', isForDiscovery: true },
  DataDigest: { name: 'dataDigest', kind: 'digest', isForDiscovery: true },
  MaxConnections: { name: 'maxConnections', ...small('min', 1, 65_535) },
  InitialR2T: { name: 'initialR2T', ...orRule },
  ImmediateData: { name: 'immediateData', kind: 'boolean', combine: 'and' },
  MaxBurstLength: { name: 'maxBurstLength', ...lengths },
  FirstBurstLength: { name: 'firstBurstLength', ...lengths },
  DefaultTime2Wait: { name: 'defaultTime2Wait', ...small('max', 0, 3600), isForDiscovery: true },
  DefaultTime2Retain: { name: 'defaultTime2Retain', ...small('min', 0, 3600), isForDiscovery: true },
  MaxOutstandingR2T: { name: 'maxOutstandingR2T', ...small('min', 1, 65_535) },
  DataPDUInOrder: { name: 'dataPduInOrder', ...orRule },
  DataSequenceInOrder: { name: 'dataSequenceInOrder', ...orRule },
  ErrorRecoveryLevel: { name: 'errorRecoveryLevel', ...small('min', 0, 2), isForDiscovery: true },
}

/** Declared by each side for itself, not answered. */
export const maxRecvKey = 'MaxRecvDataSegmentLength'
export const maxRecvRange = { low: 512, high: 0xffffff } as const
