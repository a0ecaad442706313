import type { Sense } from '#main/protocols/scsi/sense.ts'
import { isSense } from '#main/protocols/scsi/sense.ts'

/** One initiator port logged in to the LUN, as the LUN sees it. */
export interface Nexus {
  readonly initiator: string
  /** 12 hex digits. */
  readonly isid: string
  /** "name,i,0xISID": the same over a new login (SPC-4, 7.6.4.6). */
  readonly port: string
  /** What it must be told before its next command is done, the oldest first. */
  readonly attentions: Sense[]
  /** Its commands end without a status. Resolves when none touches the file any more. */
  abortTasks(): Promise<void>
}

export const portOf = (initiator: string, isid: string): string => `${initiator},i,0x${isid}`

const mostAttentions = 16

export function raise(nexus: Nexus, sense: Sense): void {
  if (nexus.attentions.length >= mostAttentions) return
  if (!nexus.attentions.some((waiting) => isSense(waiting, sense))) nexus.attentions.push(sense)
}
