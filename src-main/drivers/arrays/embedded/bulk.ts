import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { AppError } from '#shared/errors/app-error.ts'
import { MiB } from '#shared/units/bytes.ts'
import type { RunContext } from '../../action.ts'

const chunkBytes = MiB
/** Holes are found in steps of this size: a cluster or block of any file system is no larger. */
const grainBytes = 65_536
const zeros = Buffer.alloc(grainBytes)

/** SHA-256 (hex) of a whole file. */
export async function hashFile(path: string, { signal, report }: RunContext): Promise<string> {
  const file = await open(path, 'r')
  try {
    const hash = createHash('sha256')
    const totalBytes = (await file.stat()).size
    for await (const { bytes, end } of chunksOf(file, signal)) {
      hash.update(bytes)
      report?.({ bytes: end, totalBytes })
    }
    return hash.digest('hex')
  } finally {
    await file.close()
  }
}

/**
 * A copy that shares nothing with its original; runs of zeros become holes. Throws stale when the original has
 * changed meanwhile: such a copy would be of no point in time.
 */
export async function copyWholeFile(
  from: string,
  to: string,
  { signal, report }: RunContext,
  object: string,
): Promise<void> {
  const source = await open(from, 'r')
  try {
    const target = await open(to, 'wx', 0o600)
    try {
      const before = await source.stat({ bigint: true })
      await target.truncate(Number(before.size))
      for await (const { bytes, end } of chunksOf(source, signal)) {
        await writeWithHoles(target, bytes, end - bytes.length)
        report?.({ bytes: end, totalBytes: Number(before.size) })
      }
      const after = await source.stat({ bigint: true })
      if (after.mtimeNs !== before.mtimeNs || after.size !== before.size)
        throw new AppError('stale', 'The original has changed while it was copied', {
          object,
          advice: 'Take it out of use first, then try again.',
        })
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

async function writeWithHoles(target: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  let start: number | undefined
  for (let at = 0; at <= bytes.length; at += grainBytes) {
    const grain = bytes.subarray(at, at + grainBytes)
    if (grain.length > 0 && !grain.equals(zeros.subarray(0, grain.length))) {
      start ??= at
      continue
    }
    const end = Math.min(at, bytes.length)
    if (start !== undefined) await writeFully(target, bytes.subarray(start, end), offset + start)
    start = undefined
  }
  if (start !== undefined) await writeFully(target, bytes.subarray(start), offset + start)
}

async function writeFully(target: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await target.write(bytes, done, bytes.length - done, offset + done)
    done += bytesWritten
  }
}

/** The file in order; the next chunk is read while the caller works on this one. `end`: offset behind the chunk. */
async function* chunksOf(
  file: FileHandle,
  signal: AbortSignal,
): AsyncGenerator<{ readonly bytes: Buffer; readonly end: number }> {
  const buffers = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)] as const
  const read = (turn: number, at: number) => file.read(buffers[turn % 2 === 0 ? 0 : 1], 0, chunkBytes, at)
  let next = read(0, 0)
  try {
    for (let turn = 0, end = 0; ; turn++) {
      const { bytesRead, buffer } = await next
      signal.throwIfAborted()
      if (bytesRead === 0) return
      end += bytesRead
      next = read(turn + 1, end)
      yield { bytes: buffer.subarray(0, bytesRead), end }
    }
  } finally {
    // a file that is being read must not be closed
    await next.catch(() => undefined)
  }
}
