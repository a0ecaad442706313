import { AppError } from '#shared/errors/app-error.ts'

export interface VolumeLine {
  readonly name: string
  readonly lunCount: number
  readonly canReflink: boolean
  readonly fileSystem: string
  readonly sizeBytes: number
  readonly usedBytes: number
  readonly freeBytes: number
}

/**
 * Lines "volume NAME LUNS yes|no TYPE SIZE USED FREE": our words, then the line of `df -B1
 * --output=fstype,size,used,avail` (coreutils). Throws device-rejected on any other line.
 */
export function parseVolumes(text: string): VolumeLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const match = /^volume (\S+) (\d+) (yes|no) (\S+) +(\d+) +(\d+) +(\d+)$/.exec(line)
      if (match === null)
        throw new AppError('device-rejected', 'The array described a volume in an unknown way', {
          facts: { line },
        })
      const [, name = '', lunCount, canReflink, fileSystem = '', size, used, free] = match
      return {
        name,
        lunCount: Number(lunCount),
        canReflink: canReflink === 'yes',
        fileSystem,
        sizeBytes: Number(size),
        usedBytes: Number(used),
        freeBytes: Number(free),
      }
    })
}
