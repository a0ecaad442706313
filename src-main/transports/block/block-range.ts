import { AppError } from '#shared/errors/app-error.ts'
import type { BlockDevice } from './block-device.ts'

type Geometry = Pick<BlockDevice, 'name' | 'blockBytes' | 'sizeBytes'>

/** Throws bad-request unless the range is made of whole blocks inside the disk. */
export function requireBlocks(
  { name, blockBytes, sizeBytes }: Geometry,
  offset: number,
  length: number,
): void {
  const isWhole = Number.isSafeInteger(offset) && offset % blockBytes === 0 && length % blockBytes === 0
  if (isWhole && offset >= 0 && length >= 0 && offset + length <= sizeBytes) return
  throw new AppError(
    'bad-request',
    isWhole
      ? `${length} bytes at ${offset} are not inside its ${sizeBytes} bytes`
      : `${length} bytes at ${offset} are not whole blocks of ${blockBytes} bytes`,
    { object: name },
  )
}
