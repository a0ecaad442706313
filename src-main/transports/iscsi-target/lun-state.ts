import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { AppError } from '#shared/errors/app-error.ts'
import { isReservationType } from '#main/protocols/scsi/reservations.ts'
import type { SavedReservations } from './reservations.ts'

/** Keeps what must outlive a restart in one file for each LUN, `SERIAL.json` in the state folder. */
export class LunState {
  readonly #folder: string
  readonly #path: string

  constructor(folder: string, serial: string) {
    this.#folder = folder
    this.#path = join(folder, `${serial}.json`)
  }

  /** undefined: nothing is kept. Throws device-rejected for a file that is not ours: reservations are not to be forgotten. */
  load(): SavedReservations | undefined {
    let text: string
    try {
      text = readFileSync(this.#path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw unusable(this.#path, error)
    }
    try {
      const saved = JSON.parse(text) as SavedReservations
      const isSound =
        saved.registrations.every(
          ({ initiator, isid, key }) =>
            typeof initiator === 'string' && /^[0-9a-f]{12}$/.test(isid) && /^[0-9a-f]{1,16}$/.test(key),
        ) &&
        (saved.reservation === undefined ||
          (typeof saved.reservation.port === 'string' && isReservationType(saved.reservation.type)))
      if (!isSound) throw new Error('these are no reservations')
      return saved
    } catch (error) {
      throw unusable(this.#path, error)
    }
  }

  /** Durable when it returns; undefined removes it. Throws the system's error. */
  save(state: SavedReservations | undefined): void {
    if (state === undefined) return rmSync(this.#path, { force: true })
    mkdirSync(this.#folder, { recursive: true })
    const draft = `${this.#path}.new`
    const fd = openSync(draft, 'w', 0o600)
    try {
      writeSync(fd, `${JSON.stringify(state)}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(draft, this.#path)
    if (process.platform === 'win32') return // has no handle of a folder
    const folder = openSync(this.#folder, 'r')
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  }
}

const unusable = (path: string, cause: unknown): AppError =>
  new AppError('device-rejected', `The kept reservations in "${path}" cannot be read`, {
    cause,
    advice: 'If no host holds the LUN, remove the file; otherwise restore it.',
  })
