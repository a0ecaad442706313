import { randomInt } from 'node:crypto'

/** Crockford's base 32 in lower case: no i, l, o, u; sorts as its values do. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const timeDigits = 9
const randomDigits = 5

/**
 * Source of job ids: 14 letters and digits that sort by the time of their making (milliseconds until the year 3084,
 * then 25 random bits), fit for names on devices, and differ within a process whatever its clock does.
 */
export function createJobIds(now: () => number): () => string {
  let lastTime = 0
  return () => {
    lastTime = Math.max(lastTime + 1, Math.floor(now()))
    return encode(lastTime, timeDigits) + encode(randomInt(32 ** randomDigits), randomDigits)
  }
}

export const newJobId: () => string = createJobIds(Date.now)

function encode(value: number, digits: number): string {
  let text = ''
  for (let rest = value; text.length < digits; rest = Math.floor(rest / 32))
    text = alphabet.charAt(rest % 32) + text
  return text
}
