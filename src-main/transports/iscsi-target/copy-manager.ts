import type { CdbOf } from '#main/protocols/scsi/cdb.ts'
import { designatorTypes } from '#main/protocols/scsi/designators.ts'
import type { Designator } from '#main/protocols/scsi/designators.ts'
import {
  copySegmentType,
  copyTargetType,
  decodeCopyRequest,
  encodeCopyLimits,
  encodeCopyStatus,
} from '#main/protocols/scsi/extended-copy.ts'
import type { CopyLimits, CopyRequest, CopyStatus, CopyTarget } from '#main/protocols/scsi/extended-copy.ts'
import { senses } from '#main/protocols/scsi/sense.ts'
import type { Sense } from '#main/protocols/scsi/sense.ts'
import type { LunBlocks } from './lun-blocks.ts'
import type { Nexus } from './nexus.ts'
import { answer, check, end, good, refuse } from './outcome.ts'
import type { Outcome, Plan } from './outcome.ts'

const copyLimits: CopyLimits = {
  maxTargets: 2,
  maxSegments: 64,
  maxListBytes: 2 * 32 + 64 * 28,
  maxSegmentBytes: 0xffff * 512,
}
const headerBytes = 16
const keptResults = 16

/**
 * EXTENDED COPY inside one LUN (a datastore that copies its own files; SPC-4, 5.17). Another LUN is never a source or a
 * destination: whoever may see this one need not see others.
 */
export class CopyManager {
  readonly #blocks: LunBlocks
  readonly #names: readonly Designator[]
  /** By port and list identifier, the oldest first. */
  readonly #results = new Map<string, CopyStatus>()

  constructor(blocks: LunBlocks, names: readonly Designator[]) {
    this.#blocks = blocks
    this.#names = names.filter(({ of }) => of === 'lun')
  }

  copy(nexus: Nexus, cdb: CdbOf<'extended-copy'>): Plan {
    const { parameterLength } = cdb
    if (parameterLength === 0) return end(good)
    if (parameterLength < headerBytes || parameterLength > 64 * 1024)
      return refuse(senses.parameterListLength)
    return {
      kind: 'collect',
      lengthBytes: parameterLength,
      run: (list, isAborted) => {
        let request: CopyRequest
        try {
          request = decodeCopyRequest(list)
        } catch {
          return check(senses.parameterListLength)
        }
        const sense = this.#refusalOf(request, list.length)
        return sense === undefined ? this.#run(nexus, request, isAborted) : check(sense)
      },
    }
  }

  results(nexus: Nexus, cdb: CdbOf<'receive-copy-results'>): Plan {
    if (cdb.serviceAction === 3) return answer(encodeCopyLimits(copyLimits), cdb.allocationLength)
    const status = this.#results.get(`${nexus.port} ${cdb.listId ?? 0}`)
    if (cdb.serviceAction !== 0 || status === undefined) return refuse(senses.invalidFieldInCdb)
    return answer(encodeCopyStatus(status), cdb.allocationLength)
  }

  #refusalOf({ targets, segments }: CopyRequest, listBytes: number): Sense | undefined {
    const { maxTargets, maxSegments, maxListBytes } = copyLimits
    if (targets.length > maxTargets && segments.length > maxSegments) return senses.parameterListLength
    if (targets.length > maxTargets) return senses.tooManyTargetDescriptors
    if (segments.length > maxSegments) return senses.tooManySegmentDescriptors
    if (listBytes > headerBytes + maxListBytes) return senses.parameterListLength
    if (targets.some(({ type }) => type !== copyTargetType)) return senses.unsupportedTargetDescriptor
    if (segments.some(({ type }) => type !== copySegmentType)) return senses.unsupportedSegmentDescriptor
    return undefined
  }

  async #run(nexus: Nexus, request: CopyRequest, isAborted: () => boolean): Promise<Outcome> {
    let outcome = good
    let done = 0
    for (const { source, destination, blocks, sourceLba, destinationLba } of request.segments) {
      if (isAborted()) break
      const isOurs = [source, destination].every((index) => this.#isThisLun(request.targets[index]))
      outcome = isOurs
        ? await this.#blocks.copy(sourceLba, destinationLba, blocks, isAborted)
        : check(senses.copyTargetNotReachable)
      if (outcome !== good) break
      done++
    }
    this.#keep(`${nexus.port} ${request.listId}`, { hasFailed: outcome !== good, segments: done })
    return outcome
  }

  #isThisLun(target: CopyTarget | undefined): boolean {
    if (target === undefined || target.isNull || target.blockBytes !== 512) return false
    return this.#names.some(
      ({ type, bytes }) =>
        designatorTypes.indexOf(type) === target.designatorType &&
        target.association === 0 &&
        Buffer.compare(bytes, target.designator) === 0,
    )
  }

  #keep(key: string, status: CopyStatus): void {
    this.#results.delete(key)
    this.#results.set(key, status)
    const [oldest] = this.#results.keys()
    if (this.#results.size > keptResults && oldest !== undefined) this.#results.delete(oldest)
  }
}
