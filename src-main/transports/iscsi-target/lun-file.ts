import { closeSync, fdatasync, fstatSync, openSync, read, readSync, write, writeSync } from 'node:fs'
import { sparseFiles } from './sparse-file.ts'

/** undefined: done; otherwise the system's error. */
export type Done = (error: NodeJS.ErrnoException | undefined) => void

/** A call that took longer than this (and than 1 ms for each MiB) may have waited for a disk. */
const slowMs = 0.1
const slowMsPerByte = 1 / (1024 * 1024)
/**
 * Slow calls count four times as much as fast ones against them: a disk shows within a few calls, a busy computer not
 * at all. Then calls go to the thread pool, where they wait side by side; after a while one is tried again at once.
 */
const slowWeight = 4
const slowEnough = 12
const callsInPool = 256

/**
 * The file under a LUN. What the page cache answers costs less than a round through the thread pool, so calls are made
 * at once as long as they prove to be fast. Offsets and lengths in bytes; what is beyond the file's end reads as zeros.
 */
export class LunFile {
  readonly path: string
  /** Tells the same file behind two paths. */
  readonly fileId: string
  readonly #fd: number
  #inPool = 0
  #slowness = 0
  /** Calls that the system has not answered. */
  #underWay = 0
  #onIdle: (() => void) | undefined
  #writers = 0
  #isExclusive = false
  /** Those that wait for a flush that has not begun. */
  #toFlush: Done[] = []
  #isFlushing = false
  #lost: Error | undefined
  readonly #waiting: (() => void)[] = []

  /** Throws the system's error. */
  constructor(path: string, readOnly: boolean) {
    this.path = path
    this.#fd = openSync(path, readOnly ? 'r' : 'r+')
    const { dev, ino } = fstatSync(this.#fd)
    this.fileId = `${dev}:${ino}`
  }

  get sizeBytes(): number {
    return fstatSync(this.#fd).size
  }
  get isRegular(): boolean {
    return fstatSync(this.#fd).isFile()
  }

  /** Whether a call is likely to be answered from memory. */
  get isFast(): boolean {
    return this.#inPool === 0
  }

  /** Reads at once. Throws the system's error. */
  readNow(into: Uint8Array, at: number, lengthBytes: number, offset: number): void {
    const started = performance.now()
    let filled = 0
    while (filled < lengthBytes) {
      const count = readSync(this.#fd, into, at + filled, lengthBytes - filled, offset + filled)
      if (count === 0) {
        into.fill(0, at + filled, at + lengthBytes)
        break
      }
      filled += count
    }
    this.#learn(performance.now() - started, lengthBytes)
  }

  /** Reads in the thread pool. */
  readLater(into: Uint8Array, at: number, lengthBytes: number, offset: number, done: Done): void {
    if (this.#inPool > 0) this.#inPool--
    const end = this.#call(done)
    let filled = 0
    const step = (): void => {
      read(this.#fd, into, at + filled, lengthBytes - filled, offset + filled, (error, count) => {
        if (error !== null) return end(error)
        filled += count
        if (count === 0) into.fill(0, at + filled, at + lengthBytes)
        if (count === 0 || filled === lengthBytes) return end(undefined)
        step()
      })
    }
    step()
  }

  /** Whether a write may be made at once: none that must be alone is under way. */
  get mayWriteNow(): boolean {
    return this.#inPool === 0 && !this.#isExclusive
  }

  /** Writes at once; only when {@link mayWriteNow}. Throws the system's error. */
  writeNow(bytes: Uint8Array, at: number, lengthBytes: number, offset: number): void {
    if (this.#lost !== undefined) throw this.#lost
    const started = performance.now()
    let written = 0
    while (written < lengthBytes)
      written += writeSync(this.#fd, bytes, at + written, lengthBytes - written, offset + written)
    this.#learn(performance.now() - started, lengthBytes)
  }

  /** Writes in the thread pool, after what must be alone. */
  writeLater(bytes: Uint8Array, at: number, lengthBytes: number, offset: number, done: Done): void {
    if (this.#isExclusive) {
      this.#waiting.push(() => this.writeLater(bytes, at, lengthBytes, offset, done))
      return
    }
    if (this.#inPool > 0) this.#inPool--
    this.#writers++
    this.writeAlone(bytes, at, lengthBytes, offset, (error) => {
      this.#writers--
      if (this.#writers === 0) this.#wakeNext()
      done(error)
    })
  }

  /** Writes in the thread pool; for the work of {@link alone}. */
  writeAlone(bytes: Uint8Array, at: number, lengthBytes: number, offset: number, done: Done): void {
    const end = this.#call(done)
    let written = 0
    const step = (): void => {
      if (this.#lost !== undefined) return end(this.#lost)
      write(this.#fd, bytes, at + written, lengthBytes - written, offset + written, (error, count) => {
        if (error !== null) return end(error)
        written += count
        if (written === lengthBytes) return end(undefined)
        step()
      })
    }
    step()
  }

  /** Runs `work` while nothing else writes: what reads and then writes (COMPARE AND WRITE) must not be parted. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#isExclusive || this.#writers > 0)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#isExclusive = true
    try {
      return await work()
    } finally {
      this.#isExclusive = false
      this.#wakeNext()
    }
  }

  /**
   * What was written is durable when it is done. After one that failed all fail, and nothing is written any more: the
   * system tells a loss once and then answers as if there had been none. One at a time, so that no other hides it.
   */
  flush(done: Done): void {
    this.#toFlush.push(this.#call(done))
    if (!this.#isFlushing) this.#flushNext()
  }

  /** Whether the file system can give blocks back: it is asked about blocks that are not there. */
  async canPunch(): Promise<boolean> {
    if (sparseFiles === undefined) return false
    try {
      const size = Math.ceil(this.sizeBytes / 4096) * 4096
      await sparseFiles.punch(this.#fd, size, 4096)
      return true
    } catch {
      return false
    }
  }

  /** Call {@link canPunch} first. */
  async punch(offset: number, lengthBytes: number): Promise<void> {
    if (sparseFiles === undefined) return
    if (this.#lost !== undefined) throw this.#lost
    const end = this.#call(() => undefined)
    try {
      await sparseFiles.punch(this.#fd, offset, lengthBytes)
    } finally {
      end(undefined)
    }
  }

  /** Whether there is a hole at `offset` and where that changes; all is data where the system cannot tell. */
  extentAt(offset: number): { readonly isHole: boolean; readonly end: number } {
    return sparseFiles?.extentAt(this.#fd, offset) ?? { isHole: false, end: Number.POSITIVE_INFINITY }
  }

  /** When every call has been answered: the number of a closed file may be another file's. */
  async close(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    closeSync(this.#fd)
  }

  #flushNext(): void {
    const group = this.#toFlush.splice(0)
    this.#isFlushing = group.length > 0
    if (group.length === 0) return
    const settle = (error: NodeJS.ErrnoException | null): void => {
      if (error !== null) this.#lost ??= lossOf(error)
      for (const end of group) end(this.#lost)
      this.#flushNext()
    }
    if (this.#lost === undefined) fdatasync(this.#fd, settle)
    else setImmediate(settle, null)
  }

  #call(done: Done): Done {
    this.#underWay++
    return (error) => {
      done(error)
      if (--this.#underWay === 0) this.#onIdle?.()
    }
  }

  #learn(tookMs: number, lengthBytes: number): void {
    const isSlow = tookMs > slowMs + lengthBytes * slowMsPerByte
    this.#slowness = Math.max(0, this.#slowness + (isSlow ? slowWeight : -1))
    if (this.#slowness < slowEnough) return
    this.#inPool = callsInPool
    // The first try after it decides again.
    this.#slowness = slowEnough - slowWeight
  }

  #wakeNext(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

/** Whatever the reason was: data that had been taken are lost, and trying again does not bring them back. */
const lossOf = (cause: Error): Error =>
  new Error(
    `data could not be made durable, nothing more is written until the LUN is served anew: ${cause.message}`,
    { cause },
  )
