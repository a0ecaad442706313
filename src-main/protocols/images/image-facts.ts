import type { ImageFormat } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { TiB, sectorBytes } from '#shared/units/bytes.ts'

/** What a disk image says about itself, from its own bytes and never from its name. */
export interface ImageFacts {
  readonly format: ImageFormat
  /** Size of the disk that a guest sees. */
  readonly virtualSizeBytes: number
  /** The file gets larger as the guest writes. */
  readonly grows: boolean
  /** Snapshots inside the image (qcow2). */
  readonly snapshots: number
  /** It was not closed by its last writer; the hypervisor repairs it at the first start. */
  readonly unclean: boolean
}

export interface ByteRange {
  readonly offset: number
  readonly lengthBytes: number
}

/**
 * A reading of an image as a dialogue, so that the same code reads local files and, many files in one round trip,
 * files on a host: it yields the ranges it wants, and is answered with their bytes in that order (short or empty
 * where the file ends).
 */
export type Inspection = Generator<readonly ByteRange[], ImageFacts, readonly Uint8Array[]>

/** The largest disk that any of these formats and QEMU can have; a header that claims more is a lie. */
const maxVirtualSizeBytes = 64 * TiB

export const malformed = (name: string, why: string): AppError =>
  new AppError('bad-request', `"${name}" is damaged or cut off: ${why}`, {
    object: name,
    advice: 'Fetch or export the image again and compare its checksum.',
  })

export const unsupported = (name: string, why: string, advice: string): AppError =>
  new AppError('not-supported', `"${name}" ${why}`, { object: name, advice })

/** A 64-bit size from a header as a number; throws when it is not a possible size of a disk. */
export function checkedVirtualSize(name: string, bytes: bigint): number {
  if (bytes <= 0n || bytes > BigInt(maxVirtualSizeBytes))
    throw malformed(name, `its header claims a disk of ${bytes} bytes`)
  if (bytes % BigInt(sectorBytes) !== 0n)
    throw malformed(
      name,
      `its header claims a disk of ${bytes} bytes, which is not a multiple of ${sectorBytes}`,
    )
  return Number(bytes)
}

/** A view of at least `lengthBytes` bytes; throws with the offset when the file ended before. */
export function viewOf(
  name: string,
  bytes: Uint8Array | undefined,
  lengthBytes: number,
  offset: number,
): DataView {
  const got = bytes?.length ?? 0
  if (bytes === undefined || got < lengthBytes)
    throw malformed(name, `${lengthBytes} bytes are expected at offset ${offset}, ${got} are there`)
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** One character for each byte (TextDecoder's "latin1" is windows-1252 and would change 0x80 to 0x9f). */
export const asciiAt = (bytes: Uint8Array, offset: number, lengthBytes: number): string =>
  Array.from(bytes.subarray(offset, offset + lengthBytes), (byte) => String.fromCharCode(byte)).join('')
