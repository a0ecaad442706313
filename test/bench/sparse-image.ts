import { createCipheriv, randomBytes } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { MiB } from '#shared/units/bytes.ts'

/** A disk image as VMs have them: a quarter of it is data that does not compress, in runs of 64 MiB, the rest holes. */
export function writeSparseImage(path: string, sizeBytes: number): void {
  const file = openSync(path, 'wx')
  try {
    ftruncateSync(file, sizeBytes)
    const stream = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16))
    const zeros = Buffer.alloc(MiB)
    for (let offset = 0; offset < sizeBytes; offset += 256 * MiB)
      for (let run = 0; run < 64 * MiB; run += MiB)
        writeSync(file, stream.update(zeros), 0, MiB, offset + run)
  } finally {
    closeSync(file)
  }
}
