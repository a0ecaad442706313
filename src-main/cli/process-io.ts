import { homedir } from 'node:os'
import type { CliIo, TextOutput } from './io.ts'
import { askHidden, askVisible } from './terminal-question.ts'

function outputOf(stream: NodeJS.WriteStream): TextOutput {
  // a reader that has seen enough (head, less) ends the output, not with a stack
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  return {
    write: (text) => void stream.write(text),
    isTerminal: stream.isTTY,
    get columns() {
      return stream.isTTY ? stream.columns : undefined
    },
    get rows() {
      return stream.isTTY ? stream.rows : undefined
    },
  }
}

/** The real process. Questions go to standard error, so that standard output carries the result alone. */
export function createProcessIo(): CliIo {
  const canAsk = process.stdin.isTTY && process.stderr.isTTY
  let asking = 0
  let last: Promise<unknown> = Promise.resolve()
  return {
    out: outputOf(process.stdout),
    err: outputOf(process.stderr),
    env: process.env,
    platform: process.platform,
    home: homedir(),
    canAsk,
    isAsking: () => asking > 0,
    ask(question, { hidden }, signal) {
      if (!canAsk) return Promise.resolve(undefined)
      const answer = last.then(async () => {
        asking++
        try {
          return await (hidden ? askHidden(question, signal) : askVisible(question, signal))
        } finally {
          asking--
        }
      })
      last = answer.catch(() => undefined)
      return answer
    },
    onInterrupt(listener) {
      process.on('SIGINT', listener)
      process.on('SIGTERM', listener)
      return () => {
        process.off('SIGINT', listener)
        process.off('SIGTERM', listener)
      }
    },
    exitNow: (code) => process.exit(code),
  }
}
