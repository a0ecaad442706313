import type { CliIo } from '#main/cli/io.ts'

export interface FakeIo extends CliIo {
  readonly written: { out: string; err: string }
  readonly questions: { question: string; hidden: boolean }[]
  readonly exitedWith: number[]
  interrupt(): void
}

export interface FakeIoOptions {
  readonly env?: NodeJS.ProcessEnv
  /** Answers to questions, in order; given at all: there is a person. */
  readonly answers?: readonly string[]
  /** Standard error is a terminal of this many columns. */
  readonly columns?: number
}

/** A command line's process in memory. */
export function createFakeIo(options: FakeIoOptions = {}): FakeIo {
  const written = { out: '', err: '' }
  const questions: FakeIo['questions'] = []
  const exitedWith: number[] = []
  const answers = [...(options.answers ?? [])]
  const listeners = new Set<() => void>()
  return {
    written,
    questions,
    exitedWith,
    env: options.env ?? {},
    platform: 'linux',
    home: '/home/user',
    canAsk: options.answers !== undefined,
    out: {
      write: (text) => void (written.out += text),
      isTerminal: false,
      columns: undefined,
      rows: undefined,
    },
    err: {
      write: (text) => void (written.err += text),
      isTerminal: options.columns !== undefined,
      columns: options.columns,
      rows: options.columns === undefined ? undefined : 24,
    },
    isAsking: () => false,
    ask(question, { hidden }) {
      questions.push({ question, hidden })
      return Promise.resolve(answers.shift())
    },
    onInterrupt(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    exitNow: (code) => void exitedWith.push(code),
    interrupt: () => {
      for (const listener of listeners) listener()
    },
  }
}
