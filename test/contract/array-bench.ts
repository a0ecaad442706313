import { randomBytes, randomUUID } from 'node:crypto'
import { AppError } from '#shared/errors/app-error.ts'
import type { ErrorCode } from '#shared/errors/app-error.ts'
import type { LunAddress, LunIdentity, ObjectRef } from '#shared/domain/storage.ts'
import { MiB } from '#shared/units/bytes.ts'
import type { Action } from '#main/drivers/action.ts'
import type { ArrayDriver, CreateLun } from '#main/drivers/arrays/contract.ts'
import type { Inquiry, Session } from './iscsi-initiator.ts'

/** An array with what the promises need around it. Nothing else may use it. */
export interface ArrayBench {
  /** Two consoles on the same array, of the same configuration. */
  readonly driver: ArrayDriver
  readonly other: ArrayDriver
  /** A volume with 200 MiB free. */
  readonly volume: string
  /** Whether files on it can share blocks. */
  readonly sharesBlocks: boolean
  /** One on which no byte can be written any more. Absent: none can be made here. */
  readonly fullVolume?: string
  /** Writes into an object behind the driver's back, as a host does through its LUN. */
  writeObject(ref: ObjectRef, offset: number, bytes: Uint8Array): Promise<void>
  /** Puts an object there that the driver did not make; takes it away again. */
  placeForeignObject(ref: ObjectRef): Promise<void>
  removeForeignObject(ref: ObjectRef): Promise<void>
  /** Puts only the mark of an object there, as a console does that dies right after it. */
  placeMarkOnly(ref: ObjectRef, mark: string): Promise<void>
  /** Gives the LUN another serial, as if someone else had made it; and back. */
  changeSerial(identity: LunIdentity, serial: string): Promise<void>
  /** Leaves of the LUN what a console leaves that dies in the middle of making it. Absent: LUNs are made in one step. */
  readonly placeHalfMadeLun?: (spec: CreateLun) => Promise<void>
  /** Restarts what serves LUNs, so that they are lost. Absent: the array keeps them. */
  readonly loseLuns?: () => Promise<void>
  inquire(address: LunAddress, initiator: string): Promise<Inquiry | undefined>
  logIn(address: LunAddress, initiator: string): Promise<Session>
}

export interface Failure {
  readonly code: ErrorCode
  readonly error: AppError
}

/** What one promise works with: fresh names, and at the end everything that it made is removed. */
export class Scratch {
  readonly bench: ArrayBench
  readonly driver: ArrayDriver
  readonly signal = new AbortController().signal
  readonly job = `job-${randomUUID()}`
  readonly #cleanUps: (() => Promise<unknown>)[] = []

  constructor(bench: ArrayBench) {
    this.bench = bench
    this.driver = bench.driver
  }

  ref(kind: ObjectRef['kind'] = 'container', volume = this.bench.volume): ObjectRef {
    return { volume, kind, name: `t${randomBytes(6).toString('hex')}` }
  }

  run<T>(action: Action<T>): Promise<T> {
    return action.run({ signal: this.signal })
  }

  /** Removed at the end, in reverse order. */
  cleanUp(undo: () => Promise<unknown>): void {
    this.#cleanUps.push(undo)
  }

  async create(ref = this.ref(), sizeBytes = 4 * MiB): Promise<ObjectRef> {
    this.cleanUp(() => this.run(this.driver.deleteObject(ref, this.job)))
    await this.run(this.driver.createObject({ ...ref, sizeBytes, mark: this.job }))
    return ref
  }

  async copy(from: ObjectRef, kind: 'snapshot' | 'clone'): Promise<ObjectRef> {
    const to = this.ref(kind)
    const make = kind === 'snapshot' ? this.driver.snapshotObject : this.driver.cloneObject
    if (make === undefined) throw new Error(`the array has no ${kind}s`)
    this.cleanUp(() => this.run(this.driver.deleteObject(to, this.job)))
    await this.run(make({ from, to, mark: this.job }))
    return to
  }

  /** Without blocks that are shared; undefined: the array cannot. */
  async copyInFull(from: ObjectRef): Promise<ObjectRef | undefined> {
    const to = this.ref('clone')
    if (this.driver.copyObject === undefined) return undefined
    this.cleanUp(() => this.run(this.driver.deleteObject(to, this.job)))
    await this.run(this.driver.copyObject({ from, to, mark: this.job }))
    return to
  }

  lunOf(backing: ObjectRef): CreateLun {
    return { ...this.driver.newIdentity(backing.name), backing, osType: 'linux' }
  }

  async createLun(spec: CreateLun): Promise<CreateLun> {
    this.cleanUp(() => this.run(this.driver.deleteLun(spec)))
    await this.run(this.driver.createLun(spec))
    return spec
  }

  async logIn(identity: LunIdentity, initiator: string): Promise<Session> {
    const session = await this.bench.logIn(this.driver.addressOf(identity), initiator)
    let open = true
    const logOut = async (): Promise<void> => {
      if (open) await session.logOut()
      open = false
    }
    this.cleanUp(logOut)
    return { read: () => session.read(), logOut }
  }

  canSee(identity: LunIdentity, initiator: string): Promise<Inquiry | undefined> {
    return this.bench.inquire(this.driver.addressOf(identity), initiator)
  }

  async close(): Promise<void> {
    for (const undo of this.#cleanUps.toReversed()) await undo()
  }
}

/** The AppError with which it fails; fails itself when there is none. */
export async function failureOf(work: Promise<unknown>): Promise<Failure> {
  try {
    await work
  } catch (error) {
    if (error instanceof AppError) return { code: error.code, error }
    throw error
  }
  throw new Error('expected a failure, but it succeeded')
}
