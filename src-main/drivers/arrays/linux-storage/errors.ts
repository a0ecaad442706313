import { AppError } from '#shared/errors/app-error.ts'
import type { ErrorCode } from '#shared/errors/app-error.ts'
import { sh } from '#main/transports/shell/script.ts'
import type { RunResult } from '#main/transports/shell/shell.ts'

/** Exit codes by which our scripts refuse; clear of those of shells (1, 2, 126 and above), tgtadm (22, 107). */
export const refusals = {
  taken: 81,
  backsLun: 82,
  hasSession: 83,
  lunLimit: 84,
  notFound: 85,
  foreignLun: 86,
  locked: 87,
  notRoot: 88,
  mappedElsewhere: 89,
  noVolume: 90,
} as const

export const refusalCodes: readonly number[] = Object.values(refusals)

/** Shell: `refuse CODE WORDS` ends the script with one of the {@link refusals}. */
export const refuseFunction = sh`refuse() { printf '%s\\n' "$2" >&2; exit "$1"; }`

interface Meaning {
  readonly code: ErrorCode
  readonly message: string
  readonly advice: string
}

const meanings: Record<number, Meaning> = {
  [refusals.taken]: {
    code: 'busy',
    message: 'The name is taken',
    advice: 'Choose another name, or delete what has this name.',
  },
  [refusals.backsLun]: {
    code: 'busy',
    message: 'A LUN is made from it',
    advice: 'Delete that LUN first; "gantry lun list" shows it.',
  },
  [refusals.hasSession]: {
    code: 'busy',
    message: 'An initiator is logged in to the LUN',
    advice: 'Log the host out of the LUN first.',
  },
  [refusals.lunLimit]: {
    code: 'device-rejected',
    message: 'The volume has as many LUNs as it may have',
    advice:
      'Delete LUNs that are not used any more, use another volume, or raise the limit in the settings of the array.',
  },
  [refusals.notFound]: {
    code: 'not-found',
    message: 'It is not there',
    advice: 'Check the name; if LUNs were lost in a restart of the target daemon, restore them.',
  },
  [refusals.foreignLun]: {
    code: 'busy',
    message: 'A LUN of this target name is there that Gantry did not make',
    advice: 'Look at the target on the array; Gantry leaves it alone.',
  },
  [refusals.locked]: {
    code: 'busy',
    message: 'Another console has been changing LUNs on this array for 30 seconds',
    advice: 'Try again; if it stays so, look for a hanging "flock" or "tgtadm" on the array.',
  },
  [refusals.notRoot]: {
    code: 'auth-failed',
    message: 'The user may not speak to the target daemon',
    advice: 'Connect as root, or allow sudo without a password and set "sudo" in the connection.',
  },
  [refusals.mappedElsewhere]: {
    code: 'busy',
    message: 'The LUN is mapped to another initiator, or used by one',
    advice: 'Remove that map and log that host out first: two hosts must not write to the same container.',
  },
  [refusals.noVolume]: {
    code: 'not-found',
    message: 'The directory of the volume is not there',
    advice: 'Mount the volume on the array, or correct its path in the settings of the array.',
  },
}

/** Throws what a refusal means; returns when the script has ended with 0. */
export function throwRefusal(result: RunResult, object: string): void {
  const meaning = meanings[result.exitCode]
  if (meaning === undefined) return
  throw new AppError(meaning.code, meaning.message, {
    object,
    advice: meaning.advice,
    facts: { device: result.stderr.trim() },
  })
}

/** Words of the tools on the array (coreutils 9.1, dash 0.5.12, sudo 1.9, tgt 1.0.85; LC_ALL=C) and their meaning. */
const words: readonly (readonly [RegExp, Meaning])[] = [
  [
    /No space left on device|Disk quota exceeded/,
    {
      code: 'device-rejected',
      message: 'The volume is full',
      advice: 'Delete objects on the volume or enlarge it, then try again.',
    },
  ],
  [
    /failed to send request hdr to tgt daemon|can't connect to tgt daemon|can(not|'t) open \/var\/run\/tgtd/,
    {
      // The array was reached, its target daemon was not: nothing was sent to it.
      code: 'unreachable',
      message: 'The target daemon does not answer on its control port',
      advice: 'Start tgtd on the array (systemctl start tgt), or correct the control port in the settings.',
    },
  ],
  [
    /tgtadm: (command )?not found/,
    {
      code: 'not-supported',
      message: 'The array has no tgtadm',
      advice: 'Install tgt on the array (apt install tgt, dnf install scsi-target-utils).',
    },
  ],
  [
    /sudo: .*(password is required|not allowed|not in the sudoers)|Permission denied|Operation not permitted/,
    {
      code: 'auth-failed',
      message: 'The user lacks the right for this on the array',
      advice: 'Connect as root, or allow sudo without a password and set "sudo" in the connection.',
    },
  ],
  [
    /failed to clone .*(Operation not supported|Invalid cross-device link|Inappropriate ioctl)/,
    {
      code: 'not-supported',
      message: 'The file system of the volume cannot share blocks between files',
      advice: 'Use a volume on XFS (made with reflink=1) or Btrfs.',
    },
  ],
  [
    /Read-only file system/,
    {
      code: 'device-rejected',
      message: 'The volume is read-only',
      advice: 'Look at the kernel log of the array: a file system goes read-only after errors of its disk.',
    },
  ],
  [
    /Input\/output error/,
    {
      code: 'device-rejected',
      message: 'The disk under the volume reports errors',
      advice: 'Look at the kernel log of the array and check the disk before anything else.',
    },
  ],
  [
    /this target is still active/,
    {
      code: 'busy',
      message: 'An initiator is logged in to the LUN',
      advice: 'Log the host out of the LUN first.',
    },
  ],
]

/** A shell's device-rejected in the words of {@link words}; anything else comes back as it is. */
export function translateError(error: unknown, object: string): unknown {
  if (!(error instanceof AppError) || error.code !== 'device-rejected') return error
  const said = error.facts['stderr'] ?? error.message
  const meaning = words.find(([pattern]) => pattern.test(said))?.[1]
  if (meaning === undefined) return error
  return new AppError(meaning.code, meaning.message, {
    object,
    advice: meaning.advice,
    effect: error.effect,
    facts: error.facts,
    cause: error,
  })
}
