import type { ErrorCode } from './app-error.ts'
import type { WireError } from './wire-error.ts'

/** What to do about each class of error when the error itself brings no better advice. */
const generalAdvice: Record<ErrorCode, string> = {
  'bad-request': 'Correct the input and try again.',
  'not-found': 'Check the name; the list command shows what there is.',
  busy: 'Wait for the other operation to end, or cancel it; "gantry jobs" shows what is running.',
  unreachable: 'Check the address, the network and that the service is running, then try again.',
  'auth-failed': 'Check the user, the key or password, and the host key of the device.',
  'not-supported': 'Use another way or another device for this.',
  'device-rejected': "Read the device's own words above and correct the cause there.",
  timeout: 'Check the load of the device and try again.',
  cancelled: 'Nothing needs to be done; start it again when you like.',
  stale: 'Refresh the facts and try again.',
  bug: 'This is a fault in Gantry. Please report it with the log of the job.',
}

/** The exit code of the command line for each class of error; 0 is success, 10 a job that needs the operator. */
export const exitCodes: Record<ErrorCode, number> = {
  bug: 1,
  'bad-request': 2,
  'not-found': 3,
  busy: 4,
  unreachable: 5,
  'auth-failed': 6,
  'not-supported': 7,
  'device-rejected': 8,
  timeout: 9,
  stale: 11,
  cancelled: 130,
}
export const exitCodeNeedsOperator = 10

const effectText = {
  none: undefined,
  unknown: 'It is not known whether the device carried out the request.',
  done: 'The device has carried out the request.',
} as const

/** Lines for a person: what happened, on what, the device's words, what to do. */
export function describeError(error: WireError): string[] {
  const on = error.object === undefined ? '' : `${error.object}: `
  const lines = [`${on}${error.message} (${error.code})`]
  for (const [name, value] of Object.entries(error.facts)) lines.push(`  ${name}: ${value}`)
  const effect = effectText[error.effect]
  if (effect !== undefined) lines.push(effect)
  lines.push(error.advice ?? generalAdvice[error.code])
  return lines
}
