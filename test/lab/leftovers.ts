import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { processesOfLab } from './processes.ts'

/** Mount points at or under a folder, in this process's own mount namespace, innermost last. */
export const mountsUnder = (dir: string): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => {
      // proc(5): the fifth field, with blanks and the like in octal.
      const point = line
        .split(' ')[4]
        ?.replaceAll(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)))
      return point !== undefined && (point === dir || point.startsWith(`${dir}/`)) ? [point] : []
    })

/** Loop devices over files of a folder: device and file. */
export const loopsUnder = (dir: string): { device: string; file: string }[] =>
  readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .flatMap((name) => {
      try {
        const file = readFileSync(join('/sys/block', name, 'loop/backing_file'), 'utf8').trimEnd()
        return file.startsWith(`${dir}/`) ? [{ device: `/dev/${name}`, file }] : []
      } catch {
        return [] // not in use
      }
    })

/** What of a lab is still on this computer, one line each; empty: nothing. */
export function leftoversOf(dir: string): string[] {
  return [
    ...processesOfLab(dir).map(({ pid }) => {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      return `process ${pid}: ${command}`
    }),
    ...mountsUnder(dir).map((point) => `mount ${point}`),
    ...loopsUnder(dir).map(({ device, file }) => `loop device ${device} over ${file}`),
    ...(existsSync(dir) ? [`folder ${dir}`] : []),
  ]
}
