import { Option } from 'commander'
import type { Command } from 'commander'
import type { z } from 'zod'
import type { templateSourceSchema } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import {
  fileOption,
  present,
  repeatedFile,
  sizeOption,
  wholeNumberOption,
  repeated,
} from './parse-options.ts'

type SourceInput = z.input<typeof templateSourceSchema>

export interface SourceOptions {
  readonly domain?: string
  readonly folder?: string
  readonly hostFolder?: string
  readonly image?: string[]
  readonly hostImage?: string[]
  readonly ovf?: string
  readonly memory?: number
  readonly cpus?: number
  readonly firmware?: 'bios' | 'uefi'
}

/** Where VM data comes from, for `stage` and `template show`. */
export const addSourceOptions = (command: Command): Command =>
  command
    .option('--domain <name>', 'source: a VM of the host, by name or UUID')
    .option(
      '--folder <path>',
      'source: a folder of this computer with a configuration and its disks',
      fileOption,
    )
    .option('--host-folder <path>', 'source: such a folder on the host')
    .option(
      '--image <file...>',
      'source: disk images of this computer, in the order of the disks',
      repeatedFile,
    )
    .option('--host-image <path...>', 'source: disk images on the host', repeated)
    .option('--ovf <file>', 'source: an OVF or OVA of this computer', fileOption)
    .option('--memory <size>', 'memory of a VM made of images, like 2G', sizeOption)
    .option('--cpus <number>', 'CPUs of a VM made of images (default: 1)', wholeNumberOption)
    .addOption(
      new Option('--firmware <type>', 'firmware of a VM made of images (default: bios)').choices([
        'bios',
        'uefi',
      ]),
    )

/** Exactly one source. Throws bad-request. */
export function readSource(options: SourceOptions): SourceInput {
  const given = sourcesOf(options)
  const [source] = given
  if (source === undefined || given.length > 1)
    throw new AppError(
      'bad-request',
      source === undefined ? 'The source is missing' : 'There is more than one source',
      {
        advice: 'Give exactly one of --domain, --folder, --host-folder, --image, --host-image and --ovf.',
      },
    )
  if (
    source.kind !== 'image' &&
    [options.memory, options.cpus, options.firmware].some((value) => value !== undefined)
  )
    throw new AppError('bad-request', 'The source brings its own hardware', {
      advice: '--memory, --cpus and --firmware are for --image and --host-image only.',
    })
  return source
}

function sourcesOf(options: SourceOptions): SourceInput[] {
  const { domain, folder, hostFolder, image, hostImage, ovf } = options
  return [
    ...(domain === undefined ? [] : [{ kind: 'domain' as const, domain }]),
    ...(folder === undefined ? [] : [{ kind: 'folder' as const, on: 'console' as const, path: folder }]),
    ...(hostFolder === undefined ? [] : [{ kind: 'folder' as const, on: 'host' as const, path: hostFolder }]),
    ...(image === undefined ? [] : [imageSource('console', image, options)]),
    ...(hostImage === undefined ? [] : [imageSource('host', hostImage, options)]),
    ...(ovf === undefined ? [] : [{ kind: 'ovf' as const, on: 'console' as const, path: ovf }]),
  ]
}

function imageSource(on: 'console' | 'host', paths: string[], options: SourceOptions): SourceInput {
  if (options.memory === undefined)
    throw new AppError('bad-request', 'An image does not say how much memory its VM has', {
      advice: 'Add --memory, like --memory 2G, and --cpus when it needs more than one.',
    })
  return {
    kind: 'image',
    on,
    paths,
    hardware: {
      memoryBytes: options.memory,
      cpus: options.cpus ?? 1,
      ...present({ firmware: options.firmware }),
    },
  }
}
