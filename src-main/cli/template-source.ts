import { resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { Option } from 'commander'
import type { Command } from 'commander'
import type { z } from 'zod'
import type { templateSourceSchema } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { ensureHostKeys } from './host-keys.ts'
import { present, repeated, sizeOption, wholeNumberOption } from './parse-options.ts'
import { parseSftpUrl } from './sftp-url.ts'
import { addLoginOptions, readLogin } from './ssh-options.ts'
import type { LoginOptions } from './ssh-options.ts'
import type { Tools } from './tools.ts'

type SourceInput = z.input<typeof templateSourceSchema>
type Place = Extract<SourceInput, { kind: 'ovf' }>['on']

export interface SourceOptions extends LoginOptions {
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
      'source: a folder with a configuration and its disks, of this computer or sftp://[user@]server[:port]/path',
    )
    .option('--host-folder <path>', 'source: such a folder on the host')
    .option(
      '--image <file...>',
      'source: disk images, in the order of the disks, of this computer or sftp://...',
      repeated,
    )
    .option('--host-image <path...>', 'source: disk images on the host', repeated)
    .option('--ovf <file>', 'source: an OVF or OVA, of this computer or sftp://...')
    .option('--memory <size>', 'memory of a VM made of images, like 2G', sizeOption)
    .option('--cpus <number>', 'CPUs of a VM made of images (default: 1)', wholeNumberOption)
    .addOption(
      new Option('--firmware <type>', 'firmware of a VM made of images (default: bios)').choices([
        'bios',
        'uefi',
      ]),
    )

/** To be added last: all options after these are shown as theirs. */
export const addSourceLoginOptions = (command: Command): Command =>
  addLoginOptions(command.optionsGroup('Login to the server of a source sftp://...:'))

/** Exactly one source. Throws bad-request. */
export function readSource(options: SourceOptions, env: NodeJS.ProcessEnv): SourceInput {
  const given = sourcesOf(options, env)
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
  const login = loginOptions(options)
  if (login.length > 0 && (source.kind === 'domain' || typeof source.on === 'string'))
    throw new AppError('bad-request', `${login.join(', ')} means nothing for this source`, {
      advice: 'It is for sources on a server: sftp://...',
    })
  return source
}

/** Makes sure that the key of the server that it lies on is known. Throws auth-failed. */
export async function reachSource(tools: Tools, source: SourceInput, options: SourceOptions): Promise<void> {
  if (source.kind === 'domain' || typeof source.on === 'string') return
  await ensureHostKeys(tools, source.on.server, options.acceptHostKey ?? [])
}

const loginOptions = (options: LoginOptions): string[] =>
  Object.entries({
    '--identity': options.identity,
    '--no-agent': options.agent ? undefined : true,
    '--jump': options.jump,
    '--ssh-config': options.sshConfig,
    '--known-hosts': options.knownHosts,
    '--password-env': options.passwordEnv,
    '--passphrase-env': options.passphraseEnv,
    '--accept-host-key': options.acceptHostKey,
  }).flatMap(([name, value]) => (value === undefined ? [] : [name]))

function sourcesOf(options: SourceOptions, env: NodeJS.ProcessEnv): SourceInput[] {
  const { domain, folder, hostFolder, image, hostImage, ovf } = options
  const place = (text: string): { on: Place; path: string } => {
    const url = parseSftpUrl(text)
    if (url === undefined) return { on: 'console', path: resolve(text) }
    return { on: { server: { ...url.server, ...readLogin(options, env) } }, path: url.path }
  }
  return [
    ...(domain === undefined ? [] : [{ kind: 'domain' as const, domain }]),
    ...(folder === undefined ? [] : [{ kind: 'folder' as const, ...place(folder) }]),
    ...(hostFolder === undefined ? [] : [{ kind: 'folder' as const, on: 'host' as const, path: hostFolder }]),
    ...(image === undefined ? [] : [imageSource(onePlace(image.map(place)), options)]),
    ...(hostImage === undefined ? [] : [imageSource({ on: 'host', paths: hostImage }, options)]),
    ...(ovf === undefined ? [] : [{ kind: 'ovf' as const, ...place(ovf) }]),
  ]
}

function onePlace(files: readonly { on: Place; path: string }[]): { on: Place; paths: string[] } {
  const [first, ...others] = files
  const on = first?.on ?? 'console'
  if (others.some((other) => !isDeepStrictEqual(other.on, on)))
    throw new AppError('bad-request', 'The images of a VM lie in more than one place', {
      advice: 'Give images of this computer, or of one server with the same user and port.',
    })
  return { on, paths: files.map(({ path }) => path) }
}

function imageSource(files: { on: Place | 'host'; paths: string[] }, options: SourceOptions): SourceInput {
  if (options.memory === undefined)
    throw new AppError('bad-request', 'An image does not say how much memory its VM has', {
      advice: 'Add --memory, like --memory 2G, and --cpus when it needs more than one.',
    })
  return {
    kind: 'image',
    ...files,
    hardware: {
      memoryBytes: options.memory,
      cpus: options.cpus ?? 1,
      ...present({ firmware: options.firmware }),
    },
  }
}
