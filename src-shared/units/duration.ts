import { AppError } from '../errors/app-error.ts'

/** 3725000 -> "1 h 02 min", 65000 -> "1 min 05 s", 1500 -> "1.5 s". */
export function formatDuration(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
  const seconds = Math.round(ms / 1000)
  const two = (value: number): string => String(value).padStart(2, '0')
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`
  return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`
}

const durationFactors: Record<string, number> = {
  ms: 1,
  '': 1000,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
}

/** "90", "90s", "5min", "5m", "1.5 h", "500ms" -> milliseconds; a bare number is seconds. Throws bad-request. */
export function parseDuration(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)?\s*$/i.exec(text)
  const factor = match === null ? undefined : durationFactors[(match[2] ?? '').toLowerCase()]
  const ms = match === null || factor === undefined ? Number.NaN : Math.round(Number(match[1]) * factor)
  if (!Number.isSafeInteger(ms) || ms <= 0)
    throw new AppError('bad-request', `"${text}" is not a duration`, {
      advice: 'Write durations as 90s, 5m or 1h.',
    })
  return ms
}
