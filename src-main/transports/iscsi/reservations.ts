import { encodeCdb } from '#main/protocols/scsi/cdb.ts'
import {
  decodeReadKeys,
  decodeReadReservation,
  encodeReserveParameters,
  reserveIn,
  reserveOut,
} from '#main/protocols/scsi/reservations.ts'
import type { Reservation, ReservationType, ReserveParameters } from '#main/protocols/scsi/reservations.ts'
import type { Commander } from './commander.ts'
import { query } from './lun-facts.ts'

const answerBytes = 8 + 8 * 1024

/** Persistent reservations of a LUN (SPC-4, 5.13). Keys are 8 bytes. Throws busy when another holds the LUN. */
export class LunReservations {
  readonly #commander: Commander

  constructor(commander: Commander) {
    this.#commander = commander
  }

  /** The keys of all registered initiators. */
  async readKeys(signal?: AbortSignal): Promise<bigint[]> {
    return decodeReadKeys(await this.#in(reserveIn.readKeys, signal)).keys
  }

  async findReservation(signal?: AbortSignal): Promise<Reservation | undefined> {
    return decodeReadReservation(await this.#in(reserveIn.readReservation, signal)).reservation
  }

  /** @param current 0 while this initiator has no key yet; `key` 0 ends the registration */
  register(current: bigint, key: bigint, signal?: AbortSignal): Promise<void> {
    return this.#out(reserveOut.register, { key: current, actionKey: key }, undefined, signal)
  }

  reserve(key: bigint, type: ReservationType, signal?: AbortSignal): Promise<void> {
    return this.#out(reserveOut.reserve, { key, actionKey: 0n }, type, signal)
  }

  release(key: bigint, type: ReservationType, signal?: AbortSignal): Promise<void> {
    return this.#out(reserveOut.release, { key, actionKey: 0n }, type, signal)
  }

  #in(serviceAction: 0 | 1, signal: AbortSignal | undefined): Promise<Buffer> {
    const cdb = encodeCdb({ kind: 'persistent-reserve-in', serviceAction, allocationLength: answerBytes })
    return query(this.#commander, 'read reservations', cdb, answerBytes, signal)
  }

  async #out(
    serviceAction: 0 | 1 | 2,
    parameters: ReserveParameters,
    type: ReservationType | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const out = Buffer.from(encodeReserveParameters(parameters))
    const cdb = encodeCdb({
      kind: 'persistent-reserve-out',
      serviceAction,
      parameterLength: out.length,
      ...(type === undefined ? {} : { type }),
    })
    await this.#commander.run({ what: 'reserve', cdb, out, changes: true }, signal)
  }
}
