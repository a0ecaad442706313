import { AppError } from '../errors/app-error.ts'

export const KiB = 1024
export const MiB = 1024 * KiB
export const GiB = 1024 * MiB
export const TiB = 1024 * GiB
export const sectorBytes = 512

const factors: Record<string, number> = { '': 1, b: 1, k: KiB, m: MiB, g: GiB, t: TiB }

/** "512", "64k", "1.5 GiB", "20G" (powers of 1024) -> bytes. Throws bad-request. */
export function parseBytes(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*$/i.exec(text)
  const factor = match === null ? undefined : factors[(match[2] ?? '').toLowerCase()]
  const bytes = match === null || factor === undefined ? Number.NaN : Math.round(Number(match[1]) * factor)
  if (!Number.isSafeInteger(bytes))
    throw new AppError('bad-request', `"${text}" is not a size`, {
      advice: 'Write sizes as 512M, 1.5G or 2T.',
    })
  return bytes
}

/** 1610612736 -> "1.50 GiB"; three significant digits. */
export function formatBytes(bytes: number): string {
  for (const [unit, factor] of [
    ['TiB', TiB],
    ['GiB', GiB],
    ['MiB', MiB],
    ['KiB', KiB],
  ] as const)
    if (Math.abs(bytes) >= factor) {
      const value = bytes / factor
      return `${value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)} ${unit}`
    }
  return `${bytes} B`
}

export const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step
