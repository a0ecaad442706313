import type { Buffer } from 'node:buffer'
import { malformed } from './malformed.ts'
import { defaultParameters } from './parameters.ts'
import { encodeText, splitText, TextCollector } from './text.ts'
import type { TextPair } from './text.ts'

/** All the text of one side's login; what a login needs is a few hundred bytes. */
const loginTextMaxBytes = 64 * 1024

/** The text of a login, both ways: puts together what goes on over several PDUs, and cuts what is too long for one. */
export class LoginText {
  readonly #incoming = new TextCollector(loginTextMaxBytes)
  #outgoing: Buffer[] = []

  /** The pairs once they are whole, without doubles. undefined: more is to come, answer with an empty PDU. */
  receive(data: Uint8Array, continues: boolean): TextPair[] | undefined {
    const pairs = this.#incoming.add(data, continues)
    const seen = new Set<string>()
    for (const [key] of pairs ?? []) {
      if (seen.has(key)) throw malformed(`key ${key}`, 0, 'each key once', 'two')
      seen.add(key)
    }
    return pairs
  }

  put(pairs: readonly TextPair[]): void {
    this.#outgoing = splitText(encodeText(pairs), defaultParameters.maxSendDataSegmentLength)
  }

  /** The next piece, and whether more follow it. undefined: all is sent. */
  next(): { readonly data: Buffer; readonly continues: boolean } | undefined {
    const data = this.#outgoing.shift()
    return data === undefined ? undefined : { data, continues: this.#outgoing.length > 0 }
  }
}

/** Keys of the login itself and of the security stage; the others belong to the operational negotiation. */
const notOperational =
  /^(?:InitiatorName|InitiatorAlias|TargetName|TargetAlias|TargetAddress|TargetPortalGroupTag|SessionType|AuthMethod|CHAP_[ACINR])$/

export const operationalPairs = (pairs: readonly TextPair[]): TextPair[] =>
  pairs.filter(([key]) => !notOperational.test(key))

/** Reads the identifier of a CHAP exchange: one byte. */
export function parseChapIdentifier(value: string | undefined): number {
  if (value === undefined || !/^(?:\d{1,3}|0[xX][0-9a-fA-F]{1,2})$/.test(value) || Number(value) > 255)
    throw malformed(
      'key CHAP_I',
      0,
      '0 to 255',
      value === undefined ? 'none' : JSON.stringify(value.slice(0, 8)),
    )
  return Number(value)
}
