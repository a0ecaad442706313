import { Buffer } from 'node:buffer'
import { malformed } from '#main/protocols/iscsi/malformed.ts'
import { reservedTag } from '#main/protocols/iscsi/opcodes.ts'
import type { Pdu } from '#main/protocols/iscsi/pdus.ts'
import { encodeText, splitText, TextCollector } from '#main/protocols/iscsi/text.ts'
import type { TextPair } from '#main/protocols/iscsi/text.ts'

/** Names the answer that is sent in pieces; there is one at a time. */
const continuationTag = 1

export interface TextAnswer {
  readonly fields: Partial<Pdu<'textResponse'>>
  readonly data: Buffer
}

/** Text requests of a session (RFC 7143, 11.10): SendTargets, in as many pieces as its answer needs. */
export class TextExchange {
  readonly #maxSendBytes: number
  readonly #describeTargets: (which: string) => readonly TextPair[]
  readonly #incoming = new TextCollector(16 * 1024)
  #outgoing: Buffer[] = []

  constructor(maxSendBytes: number, describeTargets: (which: string) => readonly TextPair[]) {
    this.#maxSendBytes = maxSendBytes
    this.#describeTargets = describeTargets
  }

  /** Throws device-rejected for what is no text. */
  answer(request: Pdu<'textRequest'>, data: Buffer): TextAnswer {
    if (request.targetTransferTag !== reservedTag && this.#outgoing.length > 0 && data.length === 0)
      return this.#next(request)
    const pairs = this.#incoming.add(data, request.continues)
    if (pairs === undefined)
      return {
        fields: { initiatorTaskTag: request.initiatorTaskTag, targetTransferTag: continuationTag },
        data: Buffer.alloc(0),
      }
    const said: TextPair[] = []
    for (const [key, value] of pairs) {
      if (key === 'SendTargets') said.push(...this.#describeTargets(value))
      else said.push([key, 'NotUnderstood'])
    }
    this.#outgoing = splitText(encodeText(said), this.#maxSendBytes)
    return this.#next(request)
  }

  #next(request: Pdu<'textRequest'>): TextAnswer {
    const data = this.#outgoing.shift()
    if (data === undefined) throw malformed('text', 0, 'an answer to go on with', 'none')
    const continues = this.#outgoing.length > 0
    return {
      fields: {
        initiatorTaskTag: request.initiatorTaskTag,
        targetTransferTag: continues ? continuationTag : reservedTag,
        final: !continues,
        continues,
      },
      data,
    }
  }
}
