import { AppError } from '#shared/errors/app-error.ts'
import { isSense, senses } from '#main/protocols/scsi/sense.ts'
import { Commander } from './commander.ts'
import { readCapacity, readIdentity, readInquiry, readSupportedPages } from './lun-facts.ts'
import type { LunFacts } from './lun-facts.ts'
import type { Session } from './session.ts'

const mostRounds = 12

/**
 * Reads what a LUN is on one session, without a new one when it is lost. Reads it again when a unit attention came in
 * between: what was read before it may be of another LUN.
 */
export async function undisturbed<T>(
  session: Session,
  lun: Uint8Array,
  object: string,
  read: (commander: Commander) => Promise<T>,
): Promise<T> {
  let attentions = 0
  const commander = new Commander({
    object,
    lun,
    sessions: {
      current: session,
      get: () => (session.error === undefined ? Promise.resolve(session) : Promise.reject(session.error)),
    },
    onAttention: (_, sense) => {
      if (isSense(sense, senses.lunNotSupported))
        return Promise.reject(new AppError('not-found', 'There is no such LUN at the target'))
      attentions++
      return Promise.resolve()
    },
  })
  for (let round = 0; round < mostRounds; round++) {
    const before = attentions
    const found = await read(commander)
    if (attentions === before) return found
  }
  throw new AppError('busy', 'The LUN does not stop telling that it has changed', { object })
}

/** How a LUN is not the one that was opened, in words, and by which facts. */
export interface Difference {
  readonly message: string
  readonly facts?: Readonly<Record<string, string>>
}

/** By name and size; undefined: it is the same. */
export async function differenceFrom(
  opened: LunFacts,
  commander: Commander,
  signal: AbortSignal,
): Promise<Difference | undefined> {
  const { qualifier } = await readInquiry(commander, signal)
  if (qualifier !== 0) return { message: 'The LUN is not there any more' }
  const pages = await readSupportedPages(commander, signal)
  const { serial, names } = await readIdentity(commander, pages, signal)
  if (serial !== opened.serial || names.join() !== opened.names.join())
    return {
      message: 'Another LUN has taken the place of this one',
      facts: {
        opened: [opened.serial, ...opened.names].join(' '),
        found: [serial, ...names].join(' '),
      },
    }
  const { blocks, blockBytes } = await readCapacity(commander, signal)
  if (blocks !== opened.capacity.blocks || blockBytes !== opened.capacity.blockBytes)
    return {
      message: 'The size of the LUN has changed',
      facts: {
        openedBytes: String(opened.capacity.blocks * opened.capacity.blockBytes),
        foundBytes: String(blocks * blockBytes),
      },
    }
  return undefined
}
