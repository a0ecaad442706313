import { AppError } from '#shared/errors/app-error.ts'
import type { Effect, ErrorCode } from '#shared/errors/app-error.ts'
import type { RunOptions, RunResult, Shell } from '#main/transports/shell/shell.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'

interface Meaning {
  readonly exitCode: number
  readonly code: ErrorCode
  readonly effect: Effect
  readonly message: string
  readonly advice?: string
}

/**
 * How the scripts of this driver say what went wrong: one exit code for each reason, away from those of the shell
 * (1, 2, 126 and up). The words on standard error go into the facts.
 */
const exits = {
  toolMissing: {
    exitCode: 65,
    code: 'not-supported',
    effect: 'none',
    message: 'The host lacks something that this needs',
    advice: 'Install what is named above on the host; "gantry host probe" shows everything that is missing.',
  },
  otherLun: {
    exitCode: 66,
    code: 'bad-request',
    effect: 'none',
    message: 'The device at this address is not this LUN: its serial number is another one',
    advice: 'Nothing was changed. Check what the array exports under this target name.',
  },
  inUse: {
    exitCode: 67,
    code: 'busy',
    effect: 'none',
    message: 'The LUN is in use on the host',
    advice: 'Stop what uses it (named above) and unmount it, then try again.',
  },
  notAttached: {
    exitCode: 68,
    code: 'not-found',
    effect: 'none',
    message: 'The LUN is not attached to the host',
    advice: 'Attach it first.',
  },
  notMounted: {
    exitCode: 69,
    code: 'not-found',
    effect: 'none',
    message: 'The unit is not mounted on the host',
    advice: 'Mount it first.',
  },
  notEmpty: {
    exitCode: 70,
    code: 'bad-request',
    effect: 'none',
    message: 'The LUN is not empty, so it is neither partitioned nor formatted',
    advice: 'Nothing was changed. Use a new, empty container; a staged one is deployed without formatting.',
  },
  loginFailed: {
    exitCode: 71,
    code: 'device-rejected',
    effect: 'unknown',
    message: 'The host could not log in to the LUN',
    advice:
      'Check that the array exports the LUN to the initiator name of this host and that the host reaches the portal.',
  },
  chapRefused: {
    exitCode: 85,
    code: 'auth-failed',
    effect: 'none',
    message: 'The array refused the CHAP login of the host: its user or its secret is another one',
    advice:
      'Check the secret that was given for the array. If the array has a new one, "gantry array probe" makes it hold.',
  },
  chapWanted: {
    exitCode: 86,
    code: 'auth-failed',
    effect: 'none',
    message: 'The array refused the host, which logged in without CHAP',
    advice:
      'The target asks for a user and a secret, which this array does not have in the inventory; or it does not admit the initiator name of this host.',
  },
  secretLost: {
    exitCode: 87,
    code: 'bad-request',
    effect: 'none',
    message: 'The host cannot hand the secret of the login to its initiator',
  },
  notInTime: {
    exitCode: 72,
    code: 'timeout',
    effect: 'unknown',
    message: 'The host did not come to the expected state in time',
  },
  locked: {
    exitCode: 73,
    code: 'busy',
    effect: 'none',
    message: 'Another operation on this LUN is still running on the host',
    advice: 'Wait until it has ended, then try again.',
  },
  notHeader: {
    exitCode: 74,
    code: 'bad-request',
    effect: 'none',
    message: 'Partition 1 of the LUN is not a header partition of Gantry',
    advice: 'Nothing was changed.',
  },
  differs: {
    exitCode: 75,
    code: 'device-rejected',
    effect: 'unknown',
    message: 'What was read back from the LUN is not what was written',
    advice: 'Do not use this LUN; look for faults of the array, the network and the host.',
  },
  full: {
    exitCode: 76,
    code: 'device-rejected',
    effect: 'unknown',
    message: 'The file system of the unit is full',
    advice: 'Use a larger container: raise the reserve over the size of the VM data.',
  },
  writeLost: {
    exitCode: 77,
    code: 'device-rejected',
    effect: 'unknown',
    message: 'Data written to the LUN did not reach the array',
    advice:
      'The volume on the array is probably full: free space there, then write the data again. Otherwise look for network faults.',
  },
  wrongLength: {
    exitCode: 78,
    code: 'bad-request',
    effect: 'none',
    message: 'The content did not have the announced length, so the file was removed',
    advice: 'Check that the source is complete and not being changed.',
  },
  noSource: {
    exitCode: 79,
    code: 'not-found',
    effect: 'none',
    message: 'A file to be read is not there, is not a regular file or cannot be read',
  },
  wrongSize: {
    exitCode: 80,
    code: 'bad-request',
    effect: 'none',
    message: 'The size of the LUN does not suit',
    advice: 'Nothing was changed. Choose another size, file system or partition table.',
  },
  badImage: {
    exitCode: 81,
    code: 'bad-request',
    effect: 'none',
    message: 'The image cannot be converted',
  },
  mountFailed: {
    exitCode: 82,
    code: 'device-rejected',
    effect: 'none',
    message: 'The host could not mount the unit',
  },
  readFailed: {
    exitCode: 83,
    code: 'device-rejected',
    effect: 'none',
    message: 'A file could not be read to its end',
    advice: 'Look for read errors of the device under the file in the kernel log of the host.',
  },
  writeFailed: {
    exitCode: 84,
    code: 'device-rejected',
    effect: 'unknown',
    message: 'A file could not be written to the unit',
  },
} as const satisfies Record<string, Meaning>

const meanings: readonly Meaning[] = Object.values(exits)

type Reason = keyof typeof exits
/** The exit codes by reason, for the text of scripts. */
export const exit = Object.fromEntries(
  Object.entries(exits).map(([reason, { exitCode }]) => [reason, exitCode]),
) as Record<Reason, number>

/** What every tool says when the kernel could not bring its writes to the device, or has given up on the file system. */
const lostWords = /Input\/output error|Read-only file system/

/** A tool that failed where the script expects no failure: its own words stay, and they tell when writes were lost. */
function explainFailure(error: unknown, object: string): unknown {
  if (!(error instanceof AppError) || error.code !== 'device-rejected') return error
  const { exitCode: _exitCode, stderr = '', ...facts } = error.facts
  const lost = lostWords.test(stderr) ? exits.writeLost : undefined
  const advice = lost?.advice ?? error.advice
  return new AppError(error.code, lost?.message ?? error.message, {
    object,
    effect: error.effect,
    facts: stderr === '' ? error.facts : { 'the host says': stderr, ...facts },
    cause: error,
    ...(advice === undefined ? {} : { advice }),
  })
}

/** Runs a script of this driver; its exit codes become AppErrors about `object`. */
export async function runScript(
  shell: Shell,
  object: string,
  script: ShellScript,
  options: RunOptions,
): Promise<RunResult> {
  const expectExit = [0, ...meanings.map(({ exitCode }) => exitCode)]
  const result = await shell.run(script, { ...options, expectExit }).catch((error: unknown) => {
    throw explainFailure(error, object)
  })
  const words = result.stderr.trim()
  const said = meanings.find(({ exitCode }) => exitCode === result.exitCode)
  if (said === undefined) return result
  const meaning: Meaning = said === exits.writeFailed && lostWords.test(words) ? exits.writeLost : said
  throw new AppError(meaning.code, meaning.message, {
    object,
    effect: meaning.effect,
    ...(meaning.advice === undefined ? {} : { advice: meaning.advice }),
    facts: words === '' ? {} : { 'the host says': words },
  })
}
