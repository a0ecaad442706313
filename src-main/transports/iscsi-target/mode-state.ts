import {
  decodeCachingPage,
  decodeControlPage,
  decodeModeData,
  encodeCachingPage,
  encodeControlPage,
  encodeModeData,
  modePage,
} from '#main/protocols/scsi/mode.ts'
import type { ControlPage, ModePage } from '#main/protocols/scsi/mode.ts'
import type { CdbOf } from '#main/protocols/scsi/cdb.ts'
import { senses } from '#main/protocols/scsi/sense.ts'
import { put } from '#main/protocols/scsi/fields.ts'
import { answer, check, good, refuse } from './outcome.ts'
import type { Outcome, Plan } from './outcome.ts'

const defaults = { hasWriteCache: true, hasDescriptorSense: false, isWriteProtected: false }
const pageControl = { changeable: 1, default: 2, saved: 3 } as const

/** The mode pages of a LUN: error recovery, caching (WCE may be changed), control (D_SENSE, SWP), exceptions. */
export class ModeState {
  #values = { ...defaults }
  readonly #readOnly: boolean

  constructor(readOnly: boolean) {
    this.#readOnly = readOnly
  }

  get hasWriteCache(): boolean {
    return this.#values.hasWriteCache
  }
  get hasDescriptorSense(): boolean {
    return this.#values.hasDescriptorSense
  }
  /** By an initiator's word, not by the LUN's nature. */
  get isSoftwareProtected(): boolean {
    return this.#values.isWriteProtected
  }
  get isWriteProtected(): boolean {
    return this.#readOnly || this.#values.isWriteProtected
  }

  sense(cdb: CdbOf<'mode-sense'>, blocks: number): Plan {
    if (cdb.pageControl === pageControl.saved) return refuse({ key: 5, asc: 0x39, ascq: 0 }) // saving is not supported
    if (cdb.subpage !== 0 && cdb.subpage !== 0xff) return refuse(senses.invalidFieldInCdb)
    const pages = this.#pages(cdb.pageControl ?? 0).filter(
      ({ page }) => cdb.page === modePage.all || cdb.page === page,
    )
    if (pages.length === 0) return refuse(senses.invalidFieldInCdb)
    const isLong = cdb.longLba === true
    const data = encodeModeData(cdb.length, {
      mediumType: 0,
      isWriteProtected: this.isWriteProtected,
      hasDpoFua: true,
      blockDescriptors: cdb.noBlockDescriptors === true ? new Uint8Array(0) : blockDescriptor(blocks, isLong),
      hasLongBlockDescriptors: isLong && cdb.noBlockDescriptors !== true,
      pages,
    })
    return answer(data, cdb.allocationLength)
  }

  /** Takes a MODE SELECT list whole or not at all. `changed` tells whether others must be told. */
  select(
    cdb: CdbOf<'mode-select'>,
    list: Uint8Array,
  ): { readonly outcome: Outcome; readonly changed: boolean } {
    const refused = (sense = senses.invalidFieldInParameters as Parameters<typeof check>[0]) => ({
      outcome: check(sense),
      changed: false,
    })
    if (cdb.pageFormat !== true || cdb.savePages === true) return refused(senses.invalidFieldInCdb)
    if (list.length === 0) return { outcome: good, changed: false }
    let pages: readonly ModePage[]
    try {
      pages = decodeModeData(cdb.length, list, true).pages
    } catch {
      return refused(senses.parameterListLength)
    }
    const current = this.#pages(0)
    const changeable = this.#pages(pageControl.changeable)
    const wanted = { ...this.#values }
    for (const given of pages) {
      const index = current.findIndex(({ page }) => page === given.page)
      const now = current[index]
      const mask = changeable[index]
      if (now === undefined || mask === undefined || given.subpage !== 0) return refused()
      if (given.body.length !== now.body.length) return refused()
      for (const [at, byte] of given.body.entries())
        if (((byte ^ (now.body[at] ?? 0)) & ~(mask.body[at] ?? 0)) !== 0) return refused()
      if (given.page === modePage.caching) wanted.hasWriteCache = decodeCachingPage(given).hasWriteCache
      if (given.page === modePage.control) {
        const { hasDescriptorSense, isWriteProtected } = decodeControlPage(given)
        Object.assign(wanted, { hasDescriptorSense, isWriteProtected })
      }
    }
    const changed = JSON.stringify(wanted) !== JSON.stringify(this.#values)
    this.#values = wanted
    return { outcome: good, changed }
  }

  /** After a reset. */
  reset(): void {
    this.#values = { ...defaults }
  }

  #pages(control: number): ModePage[] {
    const isMask = control === pageControl.changeable
    const values = control === pageControl.default ? defaults : this.#values
    const plain: ControlPage = {
      hasDescriptorSense: isMask || values.hasDescriptorSense,
      isWriteProtected: isMask || values.isWriteProtected,
      hasTaskAbortedStatus: false,
      queueAlgorithm: isMask ? 0 : 1,
      unitAttentionInterlock: 0,
    }
    return [
      { page: modePage.errorRecovery, subpage: 0, canBeSaved: false, body: new Uint8Array(10) },
      encodeCachingPage({ hasWriteCache: isMask || values.hasWriteCache, isReadCacheOff: false }),
      encodeControlPage(plain),
      { page: modePage.exceptions, subpage: 0, canBeSaved: false, body: new Uint8Array(10) },
    ]
  }
}

/** SPC-4, 7.5.6: number of blocks, block length; 8 bytes, or 16 with a long LBA. */
function blockDescriptor(blocks: number, isLong: boolean): Uint8Array {
  const bytes = new Uint8Array(isLong ? 16 : 8)
  if (isLong) {
    put(bytes, 0, 8, blocks)
    put(bytes, 12, 4, 512)
  } else {
    put(bytes, 0, 4, Math.min(blocks, 0xffffffff))
    put(bytes, 5, 3, 512)
  }
  return bytes
}
