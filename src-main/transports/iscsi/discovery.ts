import { AppError } from '#shared/errors/app-error.ts'
import { encodeCdb } from '#main/protocols/scsi/cdb.ts'
import { decodeReportLuns, encodeLun } from '#main/protocols/scsi/luns.ts'
import { Commander } from './commander.ts'
import { query } from './lun-facts.ts'
import { formatPortal } from './portal.ts'
import { Session } from './session.ts'
import type { SessionOptions } from './session-options.ts'

export interface DiscoveredTarget {
  readonly name: string
  /** As the target writes them: "10.0.0.2:3260,1". */
  readonly addresses: readonly string[]
}

/** SendTargets=All (RFC 7143, appendix C): what this initiator may see at a portal. */
export async function discoverTargets(
  options: Omit<SessionOptions, 'targetName'>,
  signal: AbortSignal,
): Promise<DiscoveredTarget[]> {
  const session = await Session.open(options, signal)
  try {
    const targets: { name: string; addresses: string[] }[] = []
    for (const [key, value] of await session.text([['SendTargets', 'All']]))
      if (key === 'TargetName') targets.push({ name: value, addresses: [] })
      else if (key === 'TargetAddress') targets.at(-1)?.addresses.push(value)
    // Without an address it is the portal that was asked.
    return targets.map(({ name, addresses }) => ({
      name,
      addresses: addresses.length > 0 ? addresses : [formatPortal(options.portal)],
    }))
  } finally {
    await session.close()
  }
}

const firstAnswerBytes = 8 + 8 * 256
const mostLuns = 16_384

/** REPORT LUNS: the numbers of the LUNs that this initiator may see at a target. */
export async function listLuns(
  options: SessionOptions & { readonly targetName: string },
  signal: AbortSignal,
): Promise<number[]> {
  const session = await Session.open(options, signal)
  try {
    const commander = new Commander({
      object: `target ${options.targetName}`,
      lun: encodeLun(0),
      sessions: {
        current: session,
        get: () => Promise.reject(session.error ?? new AppError('unreachable', 'The session has ended')),
      },
      onAttention: () => Promise.resolve(),
    })
    for (let lengthBytes = firstAnswerBytes; ;) {
      const cdb = encodeCdb({ kind: 'report-luns', allocationLength: lengthBytes })
      const { luns, total } = decodeReportLuns(
        await query(commander, 'report LUNs', cdb, lengthBytes, signal),
      )
      const neededBytes = 8 + 8 * total
      if (neededBytes <= lengthBytes || total > mostLuns) return luns.toSorted((a, b) => a - b)
      lengthBytes = neededBytes
    }
  } finally {
    await session.close()
  }
}
