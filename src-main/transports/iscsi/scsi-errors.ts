import { AppError } from '#shared/errors/app-error.ts'
import type { AppErrorDetails, Effect, ErrorCode } from '#shared/errors/app-error.ts'
import { decodeSense, formatSense, isSense, senseKey, senses } from '#main/protocols/scsi/sense.ts'
import type { Sense } from '#main/protocols/scsi/sense.ts'
import { scsiStatus } from '#main/protocols/scsi/status.ts'

/** The sense data of a CHECK CONDITION; "no sense" where the device sent none or nothing that can be read. */
export function readSense(bytes: Uint8Array): Sense {
  try {
    return decodeSense(bytes)
  } catch {
    return senses.none
  }
}

const texts: readonly (readonly [Sense, ErrorCode, string, string?])[] = [
  [
    senses.lbaOutOfRange,
    'device-rejected',
    'The blocks are behind the end of the LUN',
    'Open the LUN again: its size may have changed.',
  ],
  [senses.invalidOpcode, 'not-supported', 'The device does not know this command'],
  [senses.invalidFieldInCdb, 'not-supported', 'The device does not know this form of the command'],
  [
    senses.spaceAllocationFailed,
    'device-rejected',
    'The array has no space left for the LUN',
    'Make room on the volume of the LUN, then go on.',
  ],
]

/** What a device's refusal means. `what`: "read", "flush". `changes`: whether the command may have changed something. */
export function senseError(sense: Sense, what: string, changes: boolean): AppError {
  const facts = { sense: formatSense(sense) }
  const known = texts.find(([pattern]) => isSense(pattern, sense))
  if (known !== undefined) {
    const [, code, message, advice] = known
    return new AppError(code, message, { facts, ...(advice === undefined ? {} : { advice }) })
  }
  switch (sense.key) {
    case senseKey.dataProtect:
      return new AppError('device-rejected', 'The LUN is write-protected', {
        facts,
        advice: 'Map it for writing on the array.',
      })
    case senseKey.notReady:
      return new AppError('busy', 'The LUN is not ready', {
        facts,
        advice: 'See on the array what it is doing, then try again.',
      })
    case senseKey.illegalRequest:
      return new AppError('device-rejected', `The device refused the command (${what})`, { facts })
    default:
      return new AppError('device-rejected', `The device could not carry out the command (${what})`, {
        facts,
        effect: changes ? 'unknown' : 'none',
      })
  }
}

/** What another status than GOOD and CHECK CONDITION means once it is not tried again. */
export function statusError(status: number, what: string, changes: boolean): AppError {
  const facts = { scsiStatus: `0x${status.toString(16).padStart(2, '0')}` }
  switch (status) {
    case scsiStatus.reservationConflict:
      return new AppError('busy', 'Another initiator has reserved the LUN', {
        facts,
        advice: 'See who holds the reservation ("read keys") and end it there.',
      })
    case scsiStatus.busy:
    case scsiStatus.taskSetFull:
      return new AppError('busy', 'The device is busy', {
        facts,
        advice: 'Try again when it has less to do.',
      })
    default:
      return new AppError('device-rejected', `The device did not carry out the command (${what})`, {
        facts,
        effect: changes ? 'unknown' : 'none',
      })
  }
}

/** An error as it is told of a LUN: with its name, and with what may have happened on the device. */
export function errorOf(error: AppError, object: string, effect: Effect = error.effect): AppError {
  const details: AppErrorDetails = {
    object: error.object ?? object,
    effect,
    facts: error.facts,
    ...(error.advice === undefined ? {} : { advice: error.advice }),
    ...(error.cause === undefined ? {} : { cause: error.cause }),
  }
  return new AppError(error.code, error.message, details)
}
