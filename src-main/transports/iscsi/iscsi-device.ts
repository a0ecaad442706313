import type { LbaStatus } from '#main/protocols/scsi/provisioning.ts'
import type { Reservation, ReservationType } from '#main/protocols/scsi/reservations.ts'
import type { BlockDevice } from '../block/block-device.ts'
import type { LunFacts } from './lun-facts.ts'
import type { InitiatorMethods } from './worker-methods.ts'
import type { Caller } from './worker-port.ts'

/** A LUN over a session of its own; beyond a disk it can be asked what it is and be reserved. */
export interface IscsiDevice extends BlockDevice {
  readonly facts: LunFacts
  /** `block` in every block of the range. not-supported: the device cannot. */
  writeSame(offset: number, lengthBytes: number, block: Uint8Array, signal: AbortSignal): Promise<void>
  /**
   * Copies inside the LUN: the device moves the bytes by itself (EXTENDED COPY). The ranges may not overlap; one that
   * fails has copied a part. Absent: the device does not know it. not-supported: it said so and does not.
   */
  copy?(from: number, to: number, lengthBytes: number, signal: AbortSignal): Promise<void>
  /** Which blocks of the range are mapped. not-supported: the device cannot tell. */
  getLbaStatus(offset: number, lengthBytes: number, signal: AbortSignal): Promise<LbaStatus[]>
  /** Ends all commands of the LUN, those of other initiators too. */
  reset(signal: AbortSignal): Promise<void>

  readKeys(signal: AbortSignal): Promise<bigint[]>
  findReservation(signal: AbortSignal): Promise<Reservation | undefined>
  /** @param current the key of this session, 0 when it has none; `key` 0 gives it back */
  register(current: bigint, key: bigint, signal: AbortSignal): Promise<void>
  reserve(key: bigint, type: ReservationType, signal: AbortSignal): Promise<void>
  release(key: bigint, type: ReservationType, signal: AbortSignal): Promise<void>
}

type Opened = Awaited<ReturnType<InitiatorMethods['open']>>

export function createDevice(caller: Caller<InitiatorMethods>, opened: Opened): IscsiDevice {
  const { handle, canUnmap, canCompareAndWrite, canCopy, ...facts } = opened
  return {
    ...facts,
    read: (offset, lengthBytes, signal) => caller.call('read', { handle, offset, lengthBytes }, { signal }),
    write(offset, bytes, signal) {
      // A view would be sent with all that is around it.
      const copy = new Uint8Array(bytes)
      return caller.call('write', { handle, offset, bytes: copy }, { signal, transfer: [copy.buffer] })
    },
    flush: (signal) => caller.call('flush', { handle }, { signal }),
    ...(canUnmap
      ? {
          unmap: (offset: number, lengthBytes: number, signal: AbortSignal) =>
            caller.call('unmap', { handle, offset, lengthBytes }, { signal }),
        }
      : {}),
    ...(canCompareAndWrite
      ? {
          compareAndWrite: (offset: number, expected: Uint8Array, bytes: Uint8Array, signal: AbortSignal) =>
            caller.call(
              'compareAndWrite',
              { handle, offset, expected: new Uint8Array(expected), bytes: new Uint8Array(bytes) },
              { signal },
            ),
        }
      : {}),
    ...(canCopy
      ? {
          copy: (from: number, to: number, lengthBytes: number, signal: AbortSignal) =>
            caller.call('copy', { handle, from, to, lengthBytes }, { signal }),
        }
      : {}),
    writeSame: (offset, lengthBytes, block, signal) =>
      caller.call('writeSame', { handle, offset, lengthBytes, block: new Uint8Array(block) }, { signal }),
    getLbaStatus: (offset, lengthBytes, signal) =>
      caller.call('getLbaStatus', { handle, offset, lengthBytes }, { signal }),
    reset: (signal) => caller.call('reset', { handle }, { signal }),
    readKeys: (signal) => caller.call('readKeys', { handle }, { signal }),
    findReservation: (signal) => caller.call('findReservation', { handle }, { signal }),
    register: (current, key, signal) => caller.call('register', { handle, current, key }, { signal }),
    reserve: (key, type, signal) => caller.call('reserve', { handle, key, type }, { signal }),
    release: (key, type, signal) => caller.call('release', { handle, key, type }, { signal }),
    writeContent: (offset, content, { signal, report, isZeroed }) =>
      caller.call('writeContent', { handle, offset, content, isZeroed }, { signal, report }),
    hash: (offset, lengthBytes, { signal, report }) =>
      caller.call('hash', { handle, offset, lengthBytes }, { signal, report }),
    readIntoFile: (offset, lengthBytes, path, { signal, report }) =>
      caller.call('readIntoFile', { handle, offset, lengthBytes, path }, { signal, report }),
    async close() {
      if (!caller.isEnded) await caller.call('close', { handle })
    },
  }
}
