import { isReservationType, reservationType, reserveOut } from '#main/protocols/scsi/reservations.ts'
import type {
  Registrant,
  Reservation,
  ReservationType,
  ReserveParameters,
} from '#main/protocols/scsi/reservations.ts'
import { senses } from '#main/protocols/scsi/sense.ts'
import type { Sense } from '#main/protocols/scsi/sense.ts'
import { check, conflict, good } from './outcome.ts'
import type { Outcome } from './outcome.ts'
import { portOf } from './nexus.ts'

interface Registration {
  readonly initiator: string
  readonly isid: string
  readonly key: bigint
}

/** What outlives a restart where an initiator asked for it (APTPL). Keys as hex. */
export interface SavedReservations {
  readonly registrations: readonly {
    readonly initiator: string
    readonly isid: string
    readonly key: string
  }[]
  readonly reservation?: { readonly port: string; readonly type: ReservationType }
}

const { writeExclusive, writeExclusiveRegistrants, exclusiveAccessRegistrants } = reservationType
const { writeExclusiveAllRegistrants, exclusiveAccessAllRegistrants } = reservationType
const isAllRegistrants = (type: ReservationType): boolean =>
  type === writeExclusiveAllRegistrants || type === exclusiveAccessAllRegistrants
const isRegistrantsOnly = (type: ReservationType): boolean =>
  type === writeExclusiveRegistrants || type === exclusiveAccessRegistrants || isAllRegistrants(type)

/** What a change asks of others: whom to tell what, and whose commands to abort. By port. */
export interface Effects {
  readonly tell: (port: string, sense: Sense) => void
  /** Resolves when none of them touches the file any more. */
  readonly abort: (port: string) => Promise<void>
  /** Before the answer: it must be durable when the initiator knows of it. */
  readonly save: (state: SavedReservations | undefined) => void
}

/** Persistent reservations of one LUN (SPC-4, 5.13), without any I/O. */
export class Reservations {
  readonly #effects: Effects
  readonly #registrations = new Map<string, Registration>()
  #reservation: { port: string; type: ReservationType } | undefined
  #isPersistent = false
  #generation = 0

  constructor(effects: Effects, saved?: SavedReservations) {
    this.#effects = effects
    if (saved === undefined) return
    this.#isPersistent = true
    for (const { initiator, isid, key } of saved.registrations)
      this.#registrations.set(portOf(initiator, isid), { initiator, isid, key: BigInt(`0x${key}`) })
    this.#reservation = saved.reservation
  }

  get generation(): number {
    return this.#generation
  }
  get isPersistent(): boolean {
    return this.#isPersistent
  }
  get hasRegistrations(): boolean {
    return this.#registrations.size > 0
  }
  get keys(): bigint[] {
    return [...this.#registrations.values()].map(({ key }) => key)
  }
  get reservation(): Reservation | undefined {
    const held = this.#reservation
    if (held === undefined) return undefined
    return {
      type: held.type,
      key: isAllRegistrants(held.type) ? 0n : (this.#registrations.get(held.port)?.key ?? 0n),
    }
  }
  get registrants(): Registrant[] {
    return [...this.#registrations].map(([port, { initiator, isid, key }]) => ({
      key,
      ...(this.#reservation !== undefined && this.#isHolder(port) ? { type: this.#reservation.type } : {}),
      relativePort: 1,
      transport: { name: initiator, isid },
    }))
  }
  isRegistered(port: string): boolean {
    return this.#registrations.has(port)
  }

  /** Whether a command of this kind is refused (SPC-4, table 51, and SBC-3, table 12). */
  forbids(port: string, access: 'read' | 'write'): boolean {
    const held = this.#reservation
    if (held === undefined || this.#isHolder(port)) return false
    if (isRegistrantsOnly(held.type) && this.#registrations.has(port)) return false
    const isWriteOnly =
      held.type === writeExclusive ||
      held.type === writeExclusiveRegistrants ||
      held.type === writeExclusiveAllRegistrants
    return access === 'write' || !isWriteOnly
  }

  /**
   * PERSISTENT RESERVE OUT but REGISTER AND MOVE; scope and type as the CDB has them. PREEMPT AND ABORT ends when the
   * commands of the others have stopped: who is answered may write at once.
   */
  change(
    who: { readonly port: string; readonly initiator: string; readonly isid: string },
    action: number,
    scope: number,
    type: number,
    parameters: ReserveParameters,
  ): Outcome | Promise<Outcome> {
    const { port } = who
    const own = this.#registrations.get(port)
    if (action === reserveOut.register || action === reserveOut.registerAndIgnore)
      return this.#register(who, action === reserveOut.registerAndIgnore, parameters)
    if (own === undefined || own.key !== parameters.key) return conflict
    if (action === reserveOut.clear) return this.#clear(port)
    if (scope !== 0 || !isReservationType(type)) return check(senses.invalidFieldInCdb)
    if (action === reserveOut.reserve) return this.#reserve(port, type)
    if (action === reserveOut.release) return this.#release(port, type)
    return this.#preempt(port, type, parameters.actionKey, action === reserveOut.preemptAndAbort)
  }

  #isHolder(port: string): boolean {
    const held = this.#reservation
    if (held === undefined) return false
    return isAllRegistrants(held.type) ? this.#registrations.has(port) : held.port === port
  }

  #register(
    { port, initiator, isid }: { readonly port: string; readonly initiator: string; readonly isid: string },
    ignoresKey: boolean,
    { key, actionKey, initiators, persist = false }: ReserveParameters,
  ): Outcome {
    const own = this.#registrations.get(port)
    if (!ignoresKey && key !== (own?.key ?? 0n)) return conflict
    if (initiators !== undefined) return check(senses.invalidFieldInParameters)
    if (actionKey !== 0n) this.#registrations.set(port, { initiator, isid, key: actionKey })
    else if (own !== undefined) this.#unregister(port)
    this.#isPersistent = persist
    this.#generation = (this.#generation + 1) >>> 0
    this.#save()
    return good
  }

  #unregister(port: string): void {
    const wasHolder = this.#isHolder(port)
    this.#registrations.delete(port)
    const held = this.#reservation
    if (held === undefined || !wasHolder) return
    if (isAllRegistrants(held.type) && this.#registrations.size > 0) return
    this.#reservation = undefined
    if (isRegistrantsOnly(held.type)) this.#tellOthers(port, senses.reservationsReleased)
  }

  #reserve(port: string, type: ReservationType): Outcome {
    const held = this.#reservation
    if (held === undefined) {
      this.#reservation = { port, type }
      this.#save()
      return good
    }
    return this.#isHolder(port) && held.type === type ? good : conflict
  }

  #release(port: string, type: ReservationType): Outcome {
    const held = this.#reservation
    if (held === undefined || !this.#isHolder(port)) return good
    if (held.type !== type) return check(senses.invalidRelease)
    this.#reservation = undefined
    if (isRegistrantsOnly(type)) this.#tellOthers(port, senses.reservationsReleased)
    this.#save()
    return good
  }

  #clear(port: string): Outcome {
    this.#tellOthers(port, senses.reservationsPreempted)
    this.#registrations.clear()
    this.#reservation = undefined
    this.#generation = (this.#generation + 1) >>> 0
    this.#save()
    return good
  }

  #preempt(
    port: string,
    type: ReservationType,
    victimKey: bigint,
    aborts: boolean,
  ): Outcome | Promise<Outcome> {
    const held = this.#reservation
    const takesAll = held !== undefined && isAllRegistrants(held.type) && victimKey === 0n
    if (victimKey === 0n && !takesAll) return check(senses.invalidFieldInParameters)
    const victims = [...this.#registrations].filter(([other, { key }]) =>
      takesAll ? other !== port : key === victimKey,
    )
    if (victims.length === 0 && !takesAll) return conflict
    const takesReservation =
      takesAll ||
      (held !== undefined && !isAllRegistrants(held.type) && victims.some(([other]) => other === held.port))
    const aborted: Promise<void>[] = []
    for (const [victim] of victims) {
      if (victim === port) continue
      this.#registrations.delete(victim)
      this.#effects.tell(victim, senses.registrationsPreempted)
      if (aborts) aborted.push(this.#effects.abort(victim))
    }
    if (takesReservation) {
      this.#reservation = { port, type }
      if (held.type !== type && isRegistrantsOnly(held.type))
        this.#tellOthers(port, senses.reservationsReleased)
    }
    this.#generation = (this.#generation + 1) >>> 0
    this.#save()
    return aborted.length === 0 ? good : Promise.all(aborted).then(() => good)
  }

  #tellOthers(port: string, sense: Sense): void {
    for (const other of this.#registrations.keys()) if (other !== port) this.#effects.tell(other, sense)
  }

  #save(): void {
    this.#effects.save(
      this.#isPersistent && this.#registrations.size > 0
        ? {
            registrations: [...this.#registrations.values()].map(({ initiator, isid, key }) => ({
              initiator,
              isid,
              key: key.toString(16),
            })),
            ...(this.#reservation === undefined ? {} : { reservation: this.#reservation }),
          }
        : undefined,
    )
  }
}
