import { AppError } from '#shared/errors/app-error.ts'
import { decodeError, wireErrorSchema } from '#shared/errors/wire-error.ts'
import type { CliIo, TextOutput } from '../io.ts'
import type { LoneTools } from '../tools.ts'

/** The real commands, run one after the other on an inventory of their own. */
export interface InnerGantry {
  /** Runs a command as a person would, and shows both. Throws what it came to when it fails. */
  show(what: string, args: readonly string[]): Promise<void>
  /** Runs a command for its JSON document, and shows neither. */
  ask<T>(args: readonly string[]): Promise<T>
  readonly timings: readonly { readonly what: string; readonly ms: number }[]
}

export function createInnerGantry(
  { io, globals, run }: LoneTools,
  dataDir: string,
  say: (text: string) => void,
): InnerGantry {
  const timings: { what: string; ms: number }[] = []
  /** Progress is for a person who looks; what a command says to one in the end goes into the error. */
  const showsProgress = globals.json !== true && io.err.isTerminal

  async function runCaptured(args: readonly string[]): Promise<{ out: string; code: number; err: string }> {
    const captured = { out: '', err: '' }
    const collect = (stream: 'out' | 'err', to?: TextOutput): TextOutput => ({
      isTerminal: to?.isTerminal ?? false,
      columns: to?.columns,
      rows: to?.rows,
      write: (text) => {
        captured[stream] += text
        to?.write(text)
      },
    })
    const inner: CliIo = {
      ...io,
      out: collect('out'),
      err: collect('err', showsProgress ? io.err : undefined),
      env: { ...io.env, GANTRY_DATA_DIR: dataDir },
      canAsk: false,
      // leaving in the middle would leave things behind; the demo ends by itself soon
      exitNow: () => undefined,
    }
    const code = await run(args, inner)
    return { ...captured, code }
  }

  return {
    timings,
    async show(what, args) {
      say(`\n$ gantry ${args.map(quoted).join(' ')}`)
      const started = performance.now()
      const { out, err, code } = await runCaptured(args)
      timings.push({ what, ms: performance.now() - started })
      say(out.trimEnd())
      if (code !== 0) throw failed(args, err, code)
    },
    async ask<T>(args: readonly string[]) {
      const { out, err, code } = await runCaptured([...args, '--json'])
      if (code !== 0) throw errorOf(out) ?? failed(args, err, code)
      return JSON.parse(out) as T
    },
  }
}

const quoted = (arg: string): string => (/[\s{}:]/.test(arg) ? `'${arg}'` : arg)

function errorOf(out: string): AppError | undefined {
  try {
    return decodeError(wireErrorSchema.parse((JSON.parse(out) as { error?: unknown }).error))
  } catch {
    return undefined
  }
}

const failed = (args: readonly string[], said: string, code: number): AppError =>
  new AppError(
    code === 130 ? 'cancelled' : 'device-rejected',
    `"gantry ${args.join(' ')}" ended with ${code}`,
    {
      facts: { 'it says': said.trim().split('\n').slice(-12).join('\n') },
      advice: 'What was made for the demo is removed.',
    },
  )
