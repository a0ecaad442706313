import type { Progress } from '#shared/domain/job.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { formatDuration } from '#shared/units/duration.ts'

/** "42 % · 1.80 GiB of 4.00 GiB · 98.0 MiB/s · 23 s left"; what is not known is left out. */
export function progressText(progress: Progress): string {
  const { fraction, bytes, totalBytes, bytesPerSecond, remainingMs } = progress
  const parts = [`${Math.floor(fraction * 100)} %`]
  if (bytes !== undefined)
    parts.push(
      totalBytes === undefined ? formatBytes(bytes) : `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`,
    )
  if (bytesPerSecond !== undefined) parts.push(`${formatBytes(bytesPerSecond)}/s`)
  if (remainingMs !== undefined) parts.push(`${formatDuration(remainingMs)} left`)
  return parts.join(' · ')
}
