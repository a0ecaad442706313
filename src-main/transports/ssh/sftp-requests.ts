import type { FileEntry } from 'ssh2'
import { status, StatusError, type SftpChannel } from './sftp-channel.ts'

/*
 * What OpenSSH answers at most in one piece, and as many as fit the window of 2 MiB that ssh2 grants: small requests
 * cost a system call and a window of their own each. For servers that take less ssh2 divides them.
 */
const pieceBytes = 255 * 1024
const pieces = 8
const spaceLeftBytes = 1024 * 1024

/** A rejection that may be looked at later, or never. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}

/** Short only at the end of the file: a server may answer with fewer bytes than it was asked for. */
async function readPiece(
  channel: SftpChannel,
  handle: Buffer,
  offset: number,
  length: number,
): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length)
  let filled = 0
  while (filled < length) {
    const count = await channel.ask<number>((sftp, done) =>
      sftp.read(handle, bytes, filled, length - filled, offset + filled, done),
    )
    if (count === 0) break
    filled += count
  }
  return bytes.subarray(0, filled)
}

/** The bytes of a range in order, many requests ahead; ends early where the file ends. */
export async function* readRange(
  channel: SftpChannel,
  handle: Buffer,
  offset: number,
  end: number,
): AsyncGenerator<Buffer> {
  const coming: Promise<Buffer>[] = []
  for (let asked = offset; asked < end || coming.length > 0;) {
    for (; coming.length < pieces && asked < end; asked += pieceBytes)
      coming.push(quiet(readPiece(channel, handle, asked, Math.min(pieceBytes, end - asked))))
    const piece = await coming.shift()
    if (piece === undefined || piece.length === 0) return
    yield piece
  }
}

export async function writeAll(
  channel: SftpChannel,
  handle: Buffer,
  content: AsyncIterable<Uint8Array>,
): Promise<number> {
  const going: Promise<void>[] = []
  const source = content[Symbol.asyncIterator]()
  let position = 0
  try {
    for (;;) {
      const next = await channel.orStopped(source.next())
      if (next.done === true) break
      for (let start = 0; start < next.value.length; start += pieceBytes) {
        const piece = Buffer.from(next.value.subarray(start, start + pieceBytes))
        const at = position
        going.push(quiet(channel.ask((sftp, done) => sftp.write(handle, piece, 0, piece.length, at, done))))
        position += piece.length
        if (going.length >= pieces) await going.shift()
      }
    }
    await Promise.all(going)
    return position
  } catch (error) {
    // not awaited: a source that hangs does not end
    void quiet(Promise.resolve(source.return?.()))
    throw error
  }
}

/** Whether an error that a server gives no reason for has a full file system as its reason. */
export async function isFull(failure: unknown, channel: SftpChannel, folder: string): Promise<boolean> {
  if (!(failure instanceof StatusError) || failure.status !== status.failure) return false
  try {
    const space = await channel.ask<{ f_bavail: number; f_frsize: number }>((sftp, done) =>
      sftp.ext_openssh_statvfs(folder === '' ? '.' : folder, done),
    )
    return space.f_bavail * space.f_frsize < spaceLeftBytes
  } catch {
    return false
  }
}

export async function nextEntries(channel: SftpChannel, handle: Buffer): Promise<FileEntry[] | undefined> {
  try {
    return await channel.ask<FileEntry[]>((sftp, done) => sftp.readdir(handle, done))
  } catch (error) {
    if (error instanceof StatusError && error.status === status.endOfFile) return undefined
    throw error
  }
}

/** ssh2's words for an extension that the server does not offer; nothing is sent then. */
const isNotOffered = (error: unknown): boolean =>
  error instanceof Error && error.message === 'Server does not support this extended request'

export async function flush(channel: SftpChannel, handle: Buffer): Promise<void> {
  try {
    await channel.ask((sftp, done) => sftp.ext_openssh_fsync(handle, done))
  } catch (error) {
    if (!isNotOffered(error)) throw error
  }
}

/** The plain rename of version 3 refuses a name that is taken. */
export async function rename(channel: SftpChannel, from: string, to: string): Promise<void> {
  try {
    await channel.ask((sftp, done) => sftp.ext_openssh_rename(from, to, done))
  } catch (error) {
    if (!isNotOffered(error)) throw error
    await channel.ask((sftp, done) => sftp.rename(from, to, done))
  }
}
