import { decodeCdb, hasServiceActions } from '#main/protocols/scsi/cdb.ts'
import type { Cdb, CdbOf } from '#main/protocols/scsi/cdb.ts'
import { encodeCapacity10, encodeCapacity16 } from '#main/protocols/scsi/capacity.ts'
import { encodeReportLuns } from '#main/protocols/scsi/luns.ts'
import {
  decodeReserveParameters,
  encodeFullStatus,
  encodeReadKeys,
  encodeReadReservation,
  encodeReserveCapabilities,
  reservationType,
  reserveIn,
  reserveOut,
} from '#main/protocols/scsi/reservations.ts'
import { encodeDescriptorSense, encodeFixedSense, senses } from '#main/protocols/scsi/sense.ts'
import type { Sense } from '#main/protocols/scsi/sense.ts'
import type { TargetLunRequest } from './contract.ts'
import { CopyManager } from './copy-manager.ts'
import { inquire, namesOf } from './identity-pages.ts'
import { LunBlocks } from './lun-blocks.ts'
import type { LunFile } from './lun-file.ts'
import type { LunState } from './lun-state.ts'
import { ModeState } from './mode-state.ts'
import { raise } from './nexus.ts'
import type { Nexus } from './nexus.ts'
import { answer, check, conflict, end, good, refuse } from './outcome.ts'
import type { Plan } from './outcome.ts'
import { supportedOpcodes, supportedTaskManagement } from './supported.ts'
import { Reservations } from './reservations.ts'

export const blockBytes = 512

type Access = 'none' | 'read' | 'write' | 'reserve'

/**
 * What kind of access a command is for reservations (SPC-4, table 51, and SBC-3, table 12); 'reserve': it is about
 * reservations itself.
 */
function accessOf(cdb: Cdb): Access {
  switch (cdb.kind) {
    case 'read':
    case 'verify':
    case 'prefetch':
    case 'get-lba-status':
    case 'mode-sense':
    case 'read-defect-data':
    case 'receive-copy-results':
      return 'read'
    case 'inquiry':
    case 'report-luns':
    case 'request-sense':
    case 'test-unit-ready':
    case 'read-capacity':
    case 'report-supported-opcodes':
    case 'report-supported-task-management':
      return 'none'
    case 'persistent-reserve-in':
    case 'persistent-reserve-out':
    case 'reserve':
    case 'release':
      return 'reserve'
    case 'prevent-allow-removal':
      return cdb.prevent === 0 ? 'none' : 'write'
    case 'start-stop-unit':
      return cdb.start === true && cdb.powerCondition === 0 ? 'none' : 'write'
    default:
      return 'write'
  }
}

/** Commands that a unit attention does not hold up (SAM-5, 5.14), and that a reservation of SCSI-2 does not. */
const isAlwaysAnswered = (cdb: Cdb | undefined): boolean =>
  cdb?.kind === 'inquiry' || cdb?.kind === 'report-luns' || cdb?.kind === 'request-sense'

/** The SCSI side of a LUN: an SBC-3 disk on a file. Knows initiators by their nexus, and no transport. */
export class LogicalUnit {
  readonly #lun: TargetLunRequest
  readonly #file: LunFile
  readonly #isThin: boolean
  readonly #blocks: LunBlocks
  readonly #copies: CopyManager
  readonly #mode: ModeState
  readonly #reservations: Reservations
  readonly #nexuses = new Set<Nexus>()
  /** Of SCSI-2: RESERVE and RELEASE. */
  #reservedBy: Nexus | undefined
  #sizeBytes: number

  constructor(lun: TargetLunRequest, file: LunFile, isThin: boolean, state: LunState) {
    this.#lun = lun
    this.#file = file
    this.#isThin = isThin
    this.#sizeBytes = lun.sizeBytes
    this.#mode = new ModeState(lun.readOnly)
    this.#blocks = new LunBlocks(file, isThin, () => this.#sizeBytes)
    this.#copies = new CopyManager(this.#blocks, namesOf(lun))
    this.#reservations = new Reservations(
      {
        tell: (port, sense) => {
          for (const nexus of this.#nexuses) if (nexus.port === port) raise(nexus, sense)
        },
        abort: async (port) => {
          const victims = [...this.#nexuses].filter((nexus) => nexus.port === port)
          await Promise.all(victims.map((nexus) => nexus.abortTasks()))
        },
        save: (saved) => state.save(saved),
      },
      state.load(),
    )
  }

  get file(): LunFile {
    return this.#file
  }
  get sizeBytes(): number {
    return this.#sizeBytes
  }
  /** Whether a write ends only when it is durable. */
  get isWriteThrough(): boolean {
    return !this.#mode.hasWriteCache
  }

  encodeSense(sense: Sense): Uint8Array {
    return this.#mode.hasDescriptorSense ? encodeDescriptorSense(sense) : encodeFixedSense(sense)
  }

  attach(nexus: Nexus): void {
    this.#nexuses.add(nexus)
    raise(nexus, senses.poweredOnOrReset)
  }

  detach(nexus: Nexus): void {
    this.#nexuses.delete(nexus)
    if (this.#reservedBy === nexus) this.#reservedBy = undefined
  }

  grow(sizeBytes: number): void {
    this.#sizeBytes = sizeBytes
    for (const nexus of this.#nexuses) raise(nexus, senses.capacityChanged)
  }

  /** Aborts everybody's commands; those of others are told. Resolves when none touches the file any more. */
  async clearTasks(by: Nexus): Promise<void> {
    const aborted = [...this.#nexuses].map((nexus) => {
      if (nexus !== by) raise(nexus, senses.commandsClearedByOther)
      return nexus.abortTasks()
    })
    await Promise.all(aborted)
  }

  async reset(): Promise<void> {
    this.#reservedBy = undefined
    this.#mode.reset()
    await Promise.all([...this.#nexuses].map((nexus) => nexus.abortTasks()))
    for (const nexus of this.#nexuses) {
      nexus.attentions.length = 0
      raise(nexus, senses.logicalUnitReset)
    }
  }

  /** @param bytes the 16 of a CDB */
  plan(nexus: Nexus, bytes: Uint8Array): Plan {
    const cdb = decodeCdb(bytes)
    if (nexus.attentions.length > 0 && !isAlwaysAnswered(cdb)) {
      const attention = nexus.attentions.shift()
      if (attention !== undefined) return refuse(attention)
    }
    if (cdb === undefined)
      return refuse(hasServiceActions(bytes[0] ?? 0) ? senses.invalidFieldInCdb : senses.invalidOpcode)
    if (cdb.naca === true) return refuse(senses.invalidFieldInCdb)
    const refusal = this.#conflictOf(nexus, cdb)
    if (refusal !== undefined) return refusal
    return this.#planOf(nexus, cdb)
  }

  #conflictOf(nexus: Nexus, cdb: Cdb): Plan | undefined {
    if (this.#reservedBy !== undefined && this.#reservedBy !== nexus)
      return isAlwaysAnswered(cdb) || cdb.kind === 'release' ? undefined : end(conflict)
    if (!this.#reservations.hasRegistrations) return undefined
    const access = accessOf(cdb)
    if (access === 'read' || access === 'write')
      return this.#reservations.forbids(nexus.port, access) ? end(conflict) : undefined
    return undefined
  }

  #planOf(nexus: Nexus, cdb: Cdb): Plan {
    switch (cdb.kind) {
      case 'read':
        return this.#blocks.read(cdb)
      case 'write':
      case 'write-and-verify':
      case 'or-write':
      case 'compare-and-write':
      case 'write-same':
      case 'unmap':
        if (this.#mode.isWriteProtected)
          return refuse(
            this.#mode.isSoftwareProtected ? senses.softwareWriteProtected : senses.writeProtected,
          )
        return this.#blocks.change(cdb)
      case 'verify':
        return this.#blocks.verify(cdb)
      case 'prefetch':
        return this.#blocks.prefetch(cdb)
      case 'synchronize-cache':
        return this.#blocks.synchronize(cdb)
      case 'get-lba-status':
        return this.#blocks.status(cdb)
      case 'test-unit-ready':
      case 'prevent-allow-removal':
        return end(good)
      case 'start-stop-unit':
        return cdb.loadEject === true ? refuse(senses.invalidFieldInCdb) : end(good)
      case 'send-diagnostic':
        return cdb.parameterLength === 0 ? end(good) : refuse(senses.invalidFieldInCdb)
      case 'inquiry':
        return inquire(cdb, this.#lun, this.#isThin)
      case 'report-luns':
        return reportLuns(cdb, [this.#lun.identity.lun])
      case 'request-sense':
        return this.#requestSense(nexus, cdb)
      case 'read-capacity':
        return this.#readCapacity(cdb)
      case 'mode-sense':
        return this.#mode.sense(cdb, this.#sizeBytes / blockBytes)
      case 'mode-select':
        return this.#modeSelect(nexus, cdb)
      case 'reserve':
      case 'release':
        return this.#reserve(nexus, cdb)
      case 'persistent-reserve-in':
        return this.#persistentReserveIn(cdb)
      case 'persistent-reserve-out':
        return this.#persistentReserveOut(nexus, cdb)
      case 'read-defect-data':
        return readDefectData(cdb)
      case 'report-supported-opcodes':
        return supportedOpcodes(cdb, this.#isThin)
      case 'report-supported-task-management':
        return supportedTaskManagement(cdb)
      case 'extended-copy':
        return this.#mode.isWriteProtected ? refuse(senses.writeProtected) : this.#copies.copy(nexus, cdb)
      case 'receive-copy-results':
        return this.#copies.results(nexus, cdb)
      default:
        return cdb satisfies never
    }
  }

  #requestSense(nexus: Nexus, cdb: CdbOf<'request-sense'>): Plan {
    const sense = nexus.attentions.shift() ?? senses.none
    const data = cdb.descriptorFormat === true ? encodeDescriptorSense(sense) : encodeFixedSense(sense)
    return answer(data, cdb.allocationLength)
  }

  #readCapacity(cdb: CdbOf<'read-capacity'>): Plan {
    if (cdb.lba !== 0 && cdb.partial !== true) return refuse(senses.invalidFieldInCdb)
    const capacity = {
      blocks: this.#sizeBytes / blockBytes,
      blockBytes,
      physicalExponent: 3,
      lowestAligned: 0,
      isThin: this.#isThin,
      readsZeros: this.#isThin,
    }
    return cdb.length === 10
      ? answer(encodeCapacity10(capacity), 8)
      : answer(encodeCapacity16(capacity), cdb.allocationLength)
  }

  #modeSelect(nexus: Nexus, cdb: CdbOf<'mode-select'>): Plan {
    return {
      kind: 'collect',
      lengthBytes: cdb.parameterLength,
      run: (list) => {
        const { outcome, changed } = this.#mode.select(cdb, list)
        if (changed)
          for (const other of this.#nexuses) if (other !== nexus) raise(other, senses.modeParametersChanged)
        return outcome
      },
    }
  }

  /** SPC-2, 5.5.1: not beside persistent reservations. */
  #reserve(nexus: Nexus, cdb: CdbOf<'reserve' | 'release'>): Plan {
    if (this.#reservations.hasRegistrations) return end(conflict)
    if ((cdb.parameterLength ?? 0) > 0) return refuse(senses.invalidFieldInCdb)
    if (cdb.kind === 'reserve') this.#reservedBy = nexus
    else if (this.#reservedBy === nexus) this.#reservedBy = undefined
    return end(good)
  }

  #persistentReserveIn(cdb: CdbOf<'persistent-reserve-in'>): Plan {
    const { generation, keys, reservation, registrants, isPersistent } = this.#reservations
    switch (cdb.serviceAction) {
      case reserveIn.readKeys:
        return answer(encodeReadKeys(generation, keys), cdb.allocationLength)
      case reserveIn.readReservation:
        return answer(encodeReadReservation(generation, reservation), cdb.allocationLength)
      case reserveIn.readFullStatus:
        return answer(encodeFullStatus(generation, registrants), cdb.allocationLength)
      default: {
        const types = Object.values(reservationType)
        return answer(
          encodeReserveCapabilities({ canPersist: true, isPersistent, types }),
          cdb.allocationLength,
        )
      }
    }
  }

  #persistentReserveOut(nexus: Nexus, cdb: CdbOf<'persistent-reserve-out'>): Plan {
    const { serviceAction, scope = 0, type = 0, parameterLength } = cdb
    if (serviceAction === reserveOut.registerAndMove) return refuse(senses.invalidFieldInCdb)
    if (parameterLength < 24) return refuse(senses.parameterListLength)
    if (parameterLength > 64 * 1024) return refuse(senses.parameterListLength)
    return {
      kind: 'collect',
      lengthBytes: parameterLength,
      run: (list) => {
        let parameters
        try {
          parameters = decodeReserveParameters(list)
        } catch {
          return check(senses.invalidFieldInParameters)
        }
        try {
          return this.#reservations.change(nexus, serviceAction, scope, type, parameters)
        } catch {
          return check(senses.internalTargetFailure) // it could not be kept
        }
      },
    }
  }
}

export function reportLuns(cdb: CdbOf<'report-luns'>, luns: readonly number[]): Plan {
  if (cdb.allocationLength < 16) return refuse(senses.invalidFieldInCdb)
  // 0 all but well-known, 1 well-known only, 2 all.
  const select = cdb.select ?? 0
  if (select > 2) return refuse(senses.invalidFieldInCdb)
  return answer(encodeReportLuns(select === 1 ? [] : luns), cdb.allocationLength)
}

/** A file has no defects: an empty list in the format asked for (SBC-3, 5.18). */
function readDefectData(cdb: CdbOf<'read-defect-data'>): Plan {
  const bytes = new Uint8Array(cdb.length === 10 ? 4 : 8)
  bytes[1] = (cdb.primary === true ? 0x10 : 0) | (cdb.grown === true ? 0x08 : 0) | (cdb.format ?? 0)
  return answer(bytes, cdb.allocationLength)
}
