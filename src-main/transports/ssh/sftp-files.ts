import { randomUUID } from 'node:crypto'
import type { Attributes, Stats } from 'ssh2'
import { AppError } from '#shared/errors/app-error.ts'
import type { FileFacts, FolderEntry, ReadOptions, RemoteFiles } from '../shell/files.ts'
import type { Session } from './session.ts'
import { sftpChannel, status, StatusError, type SftpChannel } from './sftp-channel.ts'
import { flush, isFull, nextEntries, readRange, rename, writeAll } from './sftp-requests.ts'

const openTimeoutMs = 60_000
const tidyTimeoutMs = 10_000
const maxEntries = 100_000

/** {@link RemoteFiles} over SFTP version 3; each call has a channel of its own. */
export class SftpFiles implements RemoteFiles {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  async stat(path: string, signal: AbortSignal): Promise<FileFacts | undefined> {
    return await this.#use(path, signal, async (channel) => {
      const found = await channel
        .ask<Stats>((sftp, done) => sftp.stat(path, done))
        .catch((error: unknown) => {
          if (error instanceof StatusError && error.status === status.noSuchFile) return undefined
          throw error
        })
      return found && this.#factsOf(found, path)
    })
  }

  async list(path: string, signal: AbortSignal): Promise<FolderEntry[]> {
    return await this.#use(path, signal, async (channel) => {
      const handle = await channel.ask<Buffer>((sftp, done) => sftp.opendir(path, done))
      const entries: FolderEntry[] = []
      for (;;) {
        const more = await nextEntries(channel, handle)
        if (more === undefined) return entries
        for (const { filename, attrs } of more) {
          // ssh2 has put this in the place of bytes that are no UTF-8.
          if (filename.includes('\uFFFD'))
            throw new AppError('device-rejected', `The name of "${filename}" is not UTF-8`, {
              object: this.#object(path),
              advice: 'Rename it on the device.',
            })
          if (filename !== '.' && filename !== '..')
            entries.push({ name: filename, ...this.#factsOf(attrs, `${path}/${filename}`) })
        }
        if (entries.length > maxEntries)
          throw new AppError('device-rejected', `The folder has more than ${maxEntries} entries`, {
            object: this.#object(path),
          })
      }
    })
  }

  async read(path: string, { signal, offset = 0, lengthBytes, accept }: ReadOptions): Promise<number> {
    return await this.#use(path, signal, async (channel) => {
      const handle = await channel.ask<Buffer>((sftp, done) => sftp.open(path, 'r', done))
      const before = await this.#regular(channel, handle, path)
      const end = lengthBytes === undefined ? before.size : Math.min(before.size, offset + lengthBytes)
      let handedOn = 0
      for await (const piece of readRange(channel, handle, offset, end)) {
        await channel.orStopped(Promise.resolve(accept(piece)))
        handedOn += piece.length
      }
      const after = await channel.ask<Stats>((sftp, done) => sftp.fstat(handle, done))
      if (after.size !== before.size)
        throw this.#changed(path, `${before.size} bytes have become ${after.size}`)
      if (after.mtime !== before.mtime) throw this.#changed(path, 'it was written to')
      if (handedOn < end - offset) throw this.#changed(path, `it ended after ${offset + handedOn} bytes`)
      return handedOn
    })
  }

  async write(path: string, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<number> {
    const folder = path.slice(0, path.lastIndexOf('/') + 1)
    const temporary = `${folder}.gantry-${randomUUID()}`
    return await this.#use(path, signal, async (channel) => {
      let isRenaming = false
      try {
        const handle = await channel.ask<Buffer>((sftp, done) => sftp.open(temporary, 'wx', done))
        const bytes = await writeAll(channel, handle, content)
        await flush(channel, handle)
        await channel.ask((sftp, done) => sftp.close(handle, done))
        isRenaming = true
        await rename(channel, temporary, path)
        return bytes
      } catch (error) {
        const reason = (await isFull(error, channel, folder))
          ? this.#full(path, error)
          : this.#explain(error, path)
        const isGone = await this.#remove(channel, temporary)
        // A rename without an answer may have been done; then the temporary name is free as well.
        const isKnown = error instanceof StatusError || !isRenaming
        throw withLeftover(reason, isGone ? undefined : temporary, isGone && isKnown)
      }
    })
  }

  #object(path: string): string {
    return `${path} on ${this.#session.name}`
  }

  async #use<T>(path: string, signal: AbortSignal, work: (channel: SftpChannel) => Promise<T>): Promise<T> {
    if (path === '' || path.includes('\0') || !path.isWellFormed())
      throw new AppError('bad-request', `"${path}" cannot be a path on a device`, {
        object: this.#session.name,
      })
    const limits = { signal, timeoutMs: openTimeoutMs, what: 'file transfer' }
    return await this.#session.withChannel(sftpChannel, limits, async (channel, context) => {
      context.noTimeout()
      channel.bind(this.#object(path), context)
      try {
        return await work(channel)
      } catch (error) {
        throw this.#explain(error, path)
      } finally {
        channel.close()
      }
    })
  }

  #factsOf(attributes: Attributes, path: string): FileFacts {
    const { mode, size } = attributes as Partial<Attributes>
    if (mode === undefined || size === undefined || !Number.isSafeInteger(size))
      throw new AppError(
        'device-rejected',
        'The device does not tell what kind of file this is, or its size',
        {
          object: this.#object(path),
        },
      )
    return { kind: kinds[mode & 0o170000] ?? 'other', sizeBytes: size }
  }

  async #regular(channel: SftpChannel, handle: Buffer, path: string): Promise<Stats> {
    const found = await channel.ask<Stats>((sftp, done) => sftp.fstat(handle, done))
    if (this.#factsOf(found, path).kind === 'file') return found
    throw new AppError('bad-request', `"${path}" is not a regular file`, { object: this.#object(path) })
  }

  #changed(path: string, how: string): AppError {
    return new AppError('stale', `"${path}" changed while it was read: ${how}`, {
      object: this.#object(path),
      advice: 'Stop what writes to it, then read it again.',
    })
  }

  #full(path: string, cause: unknown): AppError {
    return new AppError('device-rejected', `There is no space left for "${path}"`, {
      object: this.#object(path),
      advice: 'Free space on that file system, or choose another folder.',
      cause,
    })
  }

  /** True: it is gone. On the same channel while that lives: there it comes after the making. */
  async #remove(channel: SftpChannel, path: string): Promise<boolean> {
    const unlink = async (open: SftpChannel): Promise<boolean> => {
      try {
        await open.tidy((sftp, done) => sftp.unlink(path, done))
        return true
      } catch (error) {
        return error instanceof StatusError && error.status === status.noSuchFile
      }
    }
    if (!channel.isClosed) return await unlink(channel)
    const signal = AbortSignal.timeout(tidyTimeoutMs)
    return await this.#use(path, signal, unlink).catch(() => false)
  }

  #explain(error: unknown, path: string): unknown {
    if (!(error instanceof StatusError)) return error
    const object = this.#object(path)
    const facts = { 'the device says': error.message }
    const refuse = (code: AppError['code'], message: string): AppError =>
      new AppError(code, message, { object, facts, cause: error })
    switch (error.status) {
      case status.noSuchFile:
        return refuse('not-found', `"${path}" is not there`)
      case status.permissionDenied:
        return new AppError('auth-failed', `The user who is logged in has no right to "${path}"`, {
          object,
          facts,
          advice: 'Give the user the right, or log in as one who has it.',
          cause: error,
        })
      case status.notSupported:
        return refuse('not-supported', 'The device cannot do this with files')
      default:
        return refuse('device-rejected', `The device refuses to work with "${path}"`)
    }
  }
}

const kinds: Readonly<Record<number, FileFacts['kind']>> = {
  0o100000: 'file',
  0o040000: 'folder',
  0o120000: 'link',
}

function withLeftover(reason: unknown, leftover: string | undefined, isAsBefore: boolean): unknown {
  if (!(reason instanceof AppError)) return reason
  const { code, message, object, advice, facts } = reason
  return new AppError(code, message, {
    ...(object === undefined ? {} : { object }),
    ...(advice === undefined ? {} : { advice }),
    effect: isAsBefore ? 'none' : 'unknown',
    facts: leftover === undefined ? facts : { ...facts, 'may be left there': leftover },
    cause: reason,
  })
}
