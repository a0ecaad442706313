import { AppError } from '#shared/errors/app-error.ts'
import type { ByteRange } from '../contract.ts'

const newline = 0x0a

/** A line with the object's size, then the bytes of the ranges one behind the other. Throws device-rejected. */
export function parseObjectBytes(
  output: Uint8Array,
  ranges: readonly ByteRange[],
  object: string,
): { sizeBytes: number; parts: Uint8Array[] } {
  const end = output.indexOf(newline)
  const sizeBytes = Number(new TextDecoder().decode(output.subarray(0, end)))
  let at = end + 1
  const parts = ranges.map(({ offset, lengthBytes }) => {
    const length = Math.max(0, Math.min(lengthBytes, sizeBytes - offset))
    at += length
    return output.subarray(at - length, at)
  })
  if (end < 1 || !Number.isSafeInteger(sizeBytes) || at !== output.length)
    throw new AppError('device-rejected', 'The array gave other bytes than were asked for', {
      object,
      facts: { bytes: String(output.length - end - 1) },
      advice: 'Try again: the object may just have been changed.',
    })
  return { sizeBytes, parts }
}
