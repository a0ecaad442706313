import { AppError } from '#shared/errors/app-error.ts'
import { malformed } from './malformed.ts'
import { defaultParameters, maxRecvKey, maxRecvRange, rules } from './parameters.ts'
import type { OperationalParameters, OperationalWishes, Rule } from './parameters.ts'
import { parseNumber } from './text.ts'
import type { TextPair } from './text.ts'

type Value = boolean | number

const answersWithoutValue: ReadonlySet<string> = new Set(['Reject', 'NotUnderstood', 'Irrelevant'])
const formatBoolean = (value: boolean): string => (value ? 'Yes' : 'No')

/**
 * The operational keys of one login, for either side (RFC 7143, sections 6.2 and 13): offers, answers, the result.
 * Only keys of the operational stage are to be handed in. Errors: device-rejected, with the key in the facts, when
 * the other side answers what was not offered, offers a key twice or answers with what the rules do not allow.
 */
export class Negotiation {
  readonly #wishes: OperationalWishes
  readonly #isDiscovery: boolean
  readonly #values: { -readonly [Name in keyof OperationalParameters]: OperationalParameters[Name] }
  /** Offered by this side and not answered yet. */
  readonly #open = new Set<string>()
  readonly #settled = new Set<string>()
  #hasDeclared = false

  constructor(wishes: OperationalWishes, isDiscovery = false) {
    this.#wishes = wishes
    this.#isDiscovery = isDiscovery
    this.#values = { ...defaultParameters }
  }

  /** What an initiator offers: every key of the session type. */
  offer(): TextPair[] {
    const pairs: TextPair[] = this.declare()
    for (const [key, rule] of Object.entries(rules)) {
      if (this.#isDiscovery && rule.isForDiscovery !== true) continue
      this.#open.add(key)
      pairs.push([key, formatWish(this.#wishes[rule.name])])
    }
    return pairs
  }

  /** The declaration of this side, once. */
  declare(): TextPair[] {
    if (this.#hasDeclared) return []
    this.#hasDeclared = true
    this.#values.maxRecvDataSegmentLength = this.#wishes.maxRecvDataSegmentLength
    return [[maxRecvKey, String(this.#wishes.maxRecvDataSegmentLength)]]
  }

  /** Takes offers, answers and declarations of the other side; returns what is to be answered. */
  receive(pairs: readonly TextPair[]): TextPair[] {
    const answers: TextPair[] = []
    for (const [key, value] of pairs) {
      const isAnswer = this.#open.delete(key)
      if (!isAnswer && this.#settled.has(key)) throw wrongKey(key, 'each key once', value)
      this.#settled.add(key)
      if (key === maxRecvKey) this.#takeDeclared(value)
      else if (isAnswer) this.#takeAnswer(key, value)
      else answers.push([key, this.#answerTo(key, value)])
    }
    return answers
  }

  /** Whether the other side has answered everything. */
  get isSettled(): boolean {
    return this.#open.size === 0
  }

  result(): OperationalParameters {
    const { maxBurstLength, firstBurstLength } = this.#values
    return { ...this.#values, firstBurstLength: Math.min(firstBurstLength, maxBurstLength) }
  }

  #takeDeclared(value: string): void {
    const number = parseNumber(value)
    if (number === undefined || number < maxRecvRange.low || number > maxRecvRange.high)
      throw wrongKey(maxRecvKey, `${maxRecvRange.low} to ${maxRecvRange.high}`, value)
    this.#values.maxSendDataSegmentLength = number
  }

  #takeAnswer(key: string, value: string): void {
    const rule = rules[key]
    if (rule === undefined) throw wrongKey(key, 'a key that was offered', value)
    const wish = this.#wishes[rule.name]
    if (rule.kind === 'digest' && value !== 'CRC32C' && Array.isArray(wish) && !wish.includes('None'))
      throw noDigest(key)
    if (answersWithoutValue.has(value)) return
    const answer = parseValue(rule, value)
    if (answer === undefined || !isWithin(rule, wish, answer)) throw wrongKey(key, formatWish(wish), value)
    this.#settle(rule, answer)
  }

  #answerTo(key: string, value: string): string {
    // Obsolete since RFC 7143; "No" is right for a peer of RFC 3720, too.
    if (key === 'IFMarker' || key === 'OFMarker') return 'No'
    if (key === 'IFMarkInt' || key === 'OFMarkInt') return 'Reject'
    const rule = rules[key]
    if (rule === undefined) return 'NotUnderstood'
    if (this.#isDiscovery && rule.isForDiscovery !== true) return 'Irrelevant'
    const wish = this.#wishes[rule.name]
    if (rule.kind === 'digest') {
      const choice = value.split(',').find((item) => Array.isArray(wish) && wish.includes(item))
      if (choice === undefined) return 'Reject'
      this.#settle(rule, choice === 'CRC32C')
      return choice
    }
    const offered = parseValue(rule, value)
    if (offered === undefined) return 'Reject'
    const result = combine(rule, offered, wish as Value)
    this.#settle(rule, result)
    return typeof result === 'boolean' ? formatBoolean(result) : String(result)
  }

  #settle(rule: (typeof rules)[string], value: Value): void {
    Object.assign(this.#values, { [rule.name]: value })
  }
}

const formatWish = (wish: Value | readonly string[]): string =>
  typeof wish === 'boolean' ? formatBoolean(wish) : typeof wish === 'number' ? String(wish) : wish.join(',')

function parseValue(rule: Rule, text: string): Value | undefined {
  if (rule.kind === 'digest') return text === 'CRC32C' ? true : text === 'None' ? false : undefined
  if (rule.kind === 'boolean') return text === 'Yes' ? true : text === 'No' ? false : undefined
  const number = parseNumber(text)
  return number === undefined || number < rule.low || number > rule.high ? undefined : number
}

function combine(rule: Rule, a: Value, b: Value): Value {
  if (rule.kind === 'number') return Math[rule.combine](Number(a), Number(b))
  return rule.kind === 'boolean' && rule.combine === 'or'
    ? Boolean(a) || Boolean(b)
    : Boolean(a) && Boolean(b)
}

/** Whether an answer could be the result of our wish and some wish of the other side. */
function isWithin(rule: Rule, wish: Value | readonly string[], answer: Value): boolean {
  if (rule.kind === 'digest') return Array.isArray(wish) && wish.includes(answer === true ? 'CRC32C' : 'None')
  return combine(rule, wish as Value, answer) === answer
}

const noDigest = (key: string): AppError =>
  new AppError('not-supported', `The target does not use the checksums that were asked for (${key})`, {
    advice: 'Do without them, or allow CRC32C at the target.',
  })

function wrongKey(key: string, expected: string, found: string): Error {
  return malformed(`key ${key}`, 0, expected, JSON.stringify(found.slice(0, 40)))
}
