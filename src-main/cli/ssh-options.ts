import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { z } from 'zod'
import type { sshConnectionSchema } from '#shared/domain/connection.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { present, repeated, repeatedFile, wholeNumberOption } from './parse-options.ts'
import { secretVariable } from './secret-variable.ts'

type SshConnectionInput = z.input<typeof sshConnectionSchema>

/** How to log in to a server. */
export interface LoginOptions {
  readonly identity?: string[]
  readonly agent: boolean
  readonly jump?: string[]
  readonly sshConfig?: string
  readonly knownHosts?: string[]
  readonly passwordEnv?: string
  readonly passphraseEnv?: string
  readonly acceptHostKey?: string[]
}

export interface SshOptions extends LoginOptions {
  readonly ssh?: string
  readonly sudo?: boolean
  readonly sshChannels?: number
}

/** The options of every command that records how a device is reached. */
export const addSshOptions = (command: Command): Command =>
  addLoginOptions(
    command.option(
      '--ssh <address>',
      'how it is reached: [user@]host[:port], or an alias of the SSH configuration',
    ),
  )
    .option('--sudo', 'run commands through "sudo -n"')
    .option(
      '--ssh-channels <count>',
      'the most channels that are open on the connection at once (default: 8; 1 to 64)',
      wholeNumberOption,
    )

export const addLoginOptions = (command: Command): Command =>
  command
    .option('--identity <file>', 'private key file; may be given several times', repeatedFile)
    .option('--no-agent', 'do not use the SSH agent')
    .option(
      '--jump <address>',
      'jump host, [user@]host[:port]; several in order, or separated by commas',
      repeated,
    )
    .option('--ssh-config <file>', 'SSH configuration file, or "none" (default: ~/.ssh/config)')
    .option(
      '--known-hosts <file>',
      'further known_hosts file, only read; may be given several times',
      repeatedFile,
    )
    .option('--password-env <variable>', 'read the password from this environment variable when it is needed')
    .option('--passphrase-env <variable>', 'read the passphrase of the key from this environment variable')
    .option(
      '--accept-host-key <fingerprint>',
      'accept an unknown host key if it is this one, "SHA256:..."; several with jump hosts',
      repeated,
    )

const addressPattern =
  /^(?:(?<user>[^@]+)@)?(?:\[(?<bracketed>[^\]]+)\]|(?<ipv6>[^@[\]]*:[^@[\]]*:[^@[\]]*)|(?<name>[^@[\]:]+))(?::(?<port>\d{1,5}))?$/

/** "[user@]host[:port]"; an IPv6 address with a port stands in brackets. Throws bad-request. */
export function parseAddress(text: string): { user?: string; host: string; port?: number } {
  const { user, bracketed, ipv6, name, port } = addressPattern.exec(text)?.groups ?? {}
  const host = bracketed ?? ipv6 ?? name
  if (host === undefined)
    throw new AppError('bad-request', `"${text}" is not an address`, {
      advice: 'Write it as [user@]host[:port].',
    })
  return { host, ...present({ user, port: port === undefined ? undefined : Number(port) }) }
}

function requireSsh({ ssh }: SshOptions): string {
  if (ssh !== undefined) return ssh
  throw new AppError('bad-request', 'It is not said how the device is reached', {
    advice: 'Give --ssh [user@]host[:port].',
  })
}

/** The connection that goes into the inventory; never a secret, at most the name of a variable. */
export const readConnection = (options: SshOptions, env: NodeJS.ProcessEnv): SshConnectionInput => ({
  ...parseAddress(requireSsh(options)),
  ...readLogin(options, env),
  ...present({ sudo: options.sudo, maxChannels: options.sshChannels }),
})

export function readLogin(options: LoginOptions, env: NodeJS.ProcessEnv): Omit<SshConnectionInput, 'host'> {
  const { sshConfig } = options
  const fromVariable = (variable: string | undefined): SshConnectionInput['password'] =>
    variable === undefined ? undefined : secretVariable(variable, '--password-env or --passphrase-env', env)
  return {
    ...present({
      identityFiles: options.identity,
      agent: options.agent ? undefined : false,
      jumps: options.jump?.flatMap((text) => text.split(',')),
      knownHostsFiles: options.knownHosts,
      password: fromVariable(options.passwordEnv),
      passphrase: fromVariable(options.passphraseEnv),
    }),
    ...(sshConfig === undefined ? {} : { configFile: sshConfig === 'none' ? null : resolve(sshConfig) }),
  }
}
