import { watch } from 'node:fs'
import { open } from 'node:fs/promises'
import { AppError } from '#shared/errors/app-error.ts'
import type { Action } from '../../action.ts'
import { cleanConsole } from '../../console-text.ts'
import type { ReadySign } from '../contract.ts'
import { systemCode } from '#main/transports/local/file-errors.ts'
import type { VmPlaces } from './places.ts'
import { stateOfQemu, type QemuState } from './qemu-process.ts'

/** How often the VM is looked at, beside each change of its console's log. */
const lookMs = 1_000
const longestLogBytes = 4 * 1024 * 1024

export function waitForGuest(
  places: VmPlaces,
  object: string,
  sign: ReadySign,
  timeoutMs: number,
): Action<string> {
  if (sign.kind === 'agent')
    throw new AppError('not-supported', 'This computer does not talk to guest agents yet', {
      object,
      advice: 'Wait for a text on the serial console instead: --wait serial:TEXT.',
    })
  if (!/^[^\n\r\0]+$/.test(sign.text))
    throw new AppError('bad-request', 'The text to wait for must be one line and not empty')
  return {
    commands: [`watch ${places.consoleLog} for "${sign.text}"`],
    async run({ signal }) {
      const changes = watchLog(places.consoleLog, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]))
      const look = lookForText(places, sign.text)
      let state: QemuState = 'running'
      for await (const change of changes) {
        // before the look, so that what a VM says as its last is seen
        if (change === 'tick') state = await stateOfQemu(places)
        const found = await look(change)
        if (found !== undefined) return found
        if (state !== 'running') throw stopped(object, state, sign.text, await readTail(places.consoleLog))
      }
      signal.throwIfAborted()
      throw new AppError(
        'timeout',
        `The guest has not ${sought(sign.text)} within ${Math.ceil(timeoutMs / 1000)} s`,
        {
          object,
          facts: consoleFacts(await readTail(places.consoleLog)),
          advice:
            'The VM goes on running. Allow more time, or correct the text that the guest prints when it is up.',
        },
      )
    },
  }
}

const sought = (text: string): string => `printed "${text}" on its serial console`

const consoleFacts = (text: string): Record<string, string> => ({
  'last lines of the console': text === '' ? 'none' : text,
})

const stopped = (object: string, state: QemuState, text: string, tail: string): AppError =>
  new AppError('device-rejected', `The VM is ${state} and its guest has not ${sought(text)}`, {
    object,
    facts: { state, ...consoleFacts(tail) },
    advice:
      state === 'io-error'
        ? 'The volume or the container is full or was lost; correct that, then stop and start the VM.'
        : 'Read the last lines of its console and correct the template.',
  })

/** 'change' when the log may have grown, 'tick' now and then; ends when the signal is aborted. */
async function* watchLog(path: string, signal: AbortSignal): AsyncGenerator<'change' | 'tick'> {
  let wake: (() => void) | undefined
  let hasChanged = true
  let hasTicked = true
  const watcher = watch(path, () => {
    hasChanged = true
    wake?.()
  })
  // where files cannot be watched the interval does
  watcher.on('error', () => undefined)
  const timer = setInterval(() => {
    hasTicked = true
    wake?.()
  }, lookMs)
  const onAbort = (): void => wake?.()
  signal.addEventListener('abort', onAbort)
  try {
    while (!signal.aborted) {
      if (!hasChanged && !hasTicked) await new Promise<void>((resolve) => (wake = resolve))
      if (signal.aborted) return
      const event = hasTicked ? 'tick' : 'change'
      hasChanged = false
      hasTicked = false
      yield event
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    clearInterval(timer)
    watcher.close()
  }
}

/** The first line with the text. One that has no end yet counts once nothing has been added to it for a while. */
function lookForText(
  places: VmPlaces,
  text: string,
): (change: 'change' | 'tick') => Promise<string | undefined> {
  let before: string | undefined
  return async (change) => {
    const lines = (await readLog(places.consoleLog)).replace(/[\r\0]/g, '').split('\n')
    const last = lines.pop() ?? ''
    const line = lines.find((candidate) => candidate.includes(text))
    if (line !== undefined) return cleanConsole(line)
    if (!last.includes(text)) return undefined
    if (last === before && change === 'tick') return cleanConsole(last)
    before = last
    return undefined
  }
}

const readTail = async (path: string): Promise<string> =>
  cleanConsole((await readLog(path)).slice(-8000).split('\n').slice(-20).join('\n'))

/** The end of the log; empty when there is none. */
async function readLog(path: string): Promise<string> {
  try {
    const file = await open(path)
    try {
      const { size } = await file.stat()
      const length = Math.min(size, longestLogBytes)
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await file.close()
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return ''
    throw error
  }
}
