import { createInterface } from 'node:readline/promises'
import { AppError } from '#shared/errors/app-error.ts'

const cancelled = (): AppError => new AppError('cancelled', 'The question was not answered')

/** undefined at the end of input. */
export async function askVisible(question: string, signal: AbortSignal): Promise<string | undefined> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  const interrupted = new AbortController()
  lines.on('SIGINT', () => interrupted.abort())
  const ended = new Promise<undefined>((resolve) => lines.once('close', () => resolve(undefined)))
  try {
    const either = AbortSignal.any([signal, interrupted.signal])
    return await Promise.race([lines.question(question, { signal: either }), ended])
  } catch {
    process.stderr.write('\n')
    throw cancelled()
  } finally {
    lines.close()
  }
}

/** Takes characters up to a line end without showing them. */
export class HiddenLine {
  #text = ''

  /** What the input says so far: `answer` is complete, `ended` is the end of input, `interrupted` is Ctrl-C. */
  add(chunk: string): 'more' | 'answer' | 'ended' | 'interrupted' {
    for (const character of chunk)
      if (character === '\r' || character === '\n') return 'answer'
      else if (character === '\u0003') return 'interrupted'
      else if (character === '\u0004' && this.#text === '') return 'ended'
      else if (character === '\u007f' || character === '\b')
        this.#text = Array.from(this.#text).slice(0, -1).join('')
      else if (character === '\u0015') this.#text = ''
      else if (character >= ' ') this.#text += character
    return 'more'
  }

  get text(): string {
    return this.#text
  }
}

/** Like askVisible, without echo. */
export function askHidden(question: string, signal: AbortSignal): Promise<string | undefined> {
  const { stdin, stderr } = process
  const line = new HiddenLine()
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      stdin.off('data', take)
      signal.removeEventListener('abort', stop)
      stdin.setRawMode(false)
      stdin.pause()
      stderr.write('\n')
      settle()
    }
    const stop = (): void => finish(() => reject(cancelled()))
    const take = (chunk: Buffer | string): void => {
      const state = line.add(chunk.toString())
      if (state === 'answer') finish(() => resolve(line.text))
      if (state === 'ended') finish(() => resolve(undefined))
      if (state === 'interrupted') stop()
    }
    if (signal.aborted) {
      reject(cancelled())
      return
    }
    stderr.write(question)
    stdin.setRawMode(true)
    stdin.setEncoding('utf8')
    stdin.on('data', take)
    stdin.resume()
    signal.addEventListener('abort', stop)
  })
}
