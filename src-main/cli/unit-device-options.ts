import type { Command } from 'commander'
import type { SecretSource } from '#shared/domain/connection.ts'
import type { z } from 'zod'
import type { portalLoginSchema, unitDeviceSchema } from '#shared/domain/unit-device.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { digestsOption, readDigests, type DigestsChoice } from './digests-option.ts'
import { fileOption, present, wholeNumberOption } from './parse-options.ts'
import { secretVariable } from './secret-variable.ts'

type LoginInput = z.input<typeof portalLoginSchema>
type DeviceInput = z.input<typeof unitDeviceSchema>

export interface PortalOptions {
  readonly portal?: string
  readonly initiatorName?: string
  readonly chapUser?: string
  readonly chapSecretEnv?: string
  readonly targetChapUser?: string
  readonly targetChapSecretEnv?: string
  readonly digests?: DigestsChoice
}

export interface DeviceOptions extends PortalOptions {
  readonly file?: string
  readonly target?: string
  readonly lun?: number
}

/** How this console logs in at a portal. */
export const addPortalOptions = (command: Command): Command =>
  command
    .option('--portal <address>', 'iSCSI portal, host[:port]; this console logs in by itself')
    .option('--initiator-name <name>', 'name of this console as an initiator (default: one of its own)')
    .option('--chap-user <name>', 'log in with CHAP; the secret is asked for')
    .option('--chap-secret-env <variable>', 'read the CHAP secret from this environment variable')
    .option(
      '--target-chap-user <name>',
      'the target must prove itself too (mutual CHAP); its secret is asked for',
    )
    .option('--target-chap-secret-env <variable>', "read the target's secret from this environment variable")
    .addOption(digestsOption('insist on CRC-32C checksums of headers, data or both'))

/** Which device a unit is on. */
export const addDeviceOptions = (command: Command): Command =>
  addPortalOptions(
    command.option('--file <path>', 'a container file, image or block device of this computer', fileOption),
  )
    .option('--target <name>', 'iSCSI name of the target')
    .option('--lun <number>', 'number of the LUN (default: 1)', wholeNumberOption)

/** Throws bad-request unless it is either a file or a LUN of a target. */
export function readDevice(options: DeviceOptions, env: NodeJS.ProcessEnv): DeviceInput {
  const { file, target, lun = 1 } = options
  if ((file === undefined) === (options.portal === undefined))
    throw new AppError('bad-request', 'It is not clear where the unit is', {
      advice: 'Give either --file, or --portal with --target and --lun.',
    })
  if (file !== undefined) return { kind: 'file', path: file }
  if (target === undefined)
    throw new AppError('bad-request', 'It is not clear which target is meant', {
      advice: 'Give --target; "gantry unit scan --portal" shows what there is.',
    })
  return { kind: 'iscsi', ...readPortal(options, env), target, lun }
}

export function readPortal(options: PortalOptions, env: NodeJS.ProcessEnv): LoginInput {
  const { portal, initiatorName } = options
  if (portal === undefined) throw new AppError('bad-request', 'It is not clear which portal is meant')
  const chap = readChap('--chap', options.chapUser, options.chapSecretEnv, env)
  const target = readChap('--target-chap', options.targetChapUser, options.targetChapSecretEnv, env)
  if (chap === undefined && target !== undefined)
    throw new AppError('bad-request', 'A target proves itself only to who proves itself', {
      advice: 'Give --chap-user too.',
    })
  return {
    portal,
    ...present({ initiatorName, digests: readDigests(options.digests) }),
    ...(chap === undefined ? {} : { chap: { ...chap, ...present({ target }) } }),
  }
}

/** `option`: "--chap" of --chap-user and --chap-secret-env. */
function readChap(
  option: string,
  user: string | undefined,
  variable: string | undefined,
  env: NodeJS.ProcessEnv,
): { user: string; secret: SecretSource } | undefined {
  if (user === undefined && variable !== undefined)
    throw new AppError('bad-request', 'A CHAP secret goes with a name', {
      advice: `Give ${option}-user too.`,
    })
  if (user === undefined) return undefined
  const secret: SecretSource =
    variable === undefined ? { from: 'prompt' } : secretVariable(variable, `${option}-secret-env`, env)
  return { user, secret }
}
