import type { ClientChannel } from 'ssh2'
import { AppError } from '#shared/errors/app-error.ts'
import type { RunOptions } from '../shell/shell.ts'
import type { StartedCommand } from './started-command.ts'

/** What a command left when its channel was closed; neither code nor signal: the server did not say. */
export interface Outcome {
  readonly exitCode: number | undefined
  readonly exitSignal: string | undefined
  readonly stdout: Uint8Array
  readonly stderr: string
}

export type ChannelRunOptions = Pick<RunOptions, 'stdin' | 'onStdout' | 'maxOutputBytes' | 'tethered'> & {
  readonly object: string
  /** Its reason is what the run ends with. */
  readonly signal: AbortSignal
}

const defaultMaxOutputBytes = 16 * 1024 * 1024
const maxStderrBytes = 256 * 1024
/** TERM, three seconds, KILL; and a little for the way. */
const tetherEndMs = 5000

/** One command on its channel: feeds its input, takes its output, waits for its end. */
class ChannelRun {
  readonly #command: StartedCommand
  readonly #channel: ClientChannel
  readonly #options: ChannelRunOptions
  readonly #stdout: Buffer[] = []
  readonly #stderr: Buffer[] = []
  #stdoutBytes = 0
  #stderrBytes = 0
  #lastChunk: Promise<void> = Promise.resolve()
  #isInputComplete = false
  #isOver = false
  #fail: (reason: unknown) => void = () => undefined
  readonly #failed: Promise<never>

  constructor(command: StartedCommand, options: ChannelRunOptions) {
    this.#command = command
    this.#channel = command.channel
    this.#options = options
    this.#failed = new Promise((_resolve, reject) => {
      this.#fail = reject
    })
    this.#failed.catch(() => undefined)
  }

  async run(): Promise<Outcome> {
    const { signal } = this.#options
    const onAbort = (): void => this.#fail(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    try {
      this.#listen()
      this.#feed().catch((error: unknown) => this.#fail(error))
      await Promise.race([this.#finished(), this.#failed])
    } catch (error) {
      await this.#windDown(signal.aborted && error === signal.reason)
      throw error
    } finally {
      this.#isOver = true
      signal.removeEventListener('abort', onAbort)
    }
    return {
      exitCode: this.#command.exitCode,
      exitSignal: this.#command.exitSignal,
      stdout: Buffer.concat(this.#stdout),
      stderr: Buffer.concat(this.#stderr).toString('utf8'),
    }
  }

  async #finished(): Promise<void> {
    await this.#command.closed
    await this.#lastChunk
  }

  #listen(): void {
    const { onStdout } = this.#options
    this.#channel
      .on('error', (error: unknown) => this.#fail(error))
      .on(
        'data',
        onStdout === undefined
          ? (chunk: Buffer) => this.#collect(chunk)
          : (chunk: Buffer) => this.#pass(chunk),
      )
    this.#channel.stderr.on('data', (chunk: Buffer) => {
      // The beginning tells the cause; what comes after the limit is dropped.
      if (this.#stderrBytes < maxStderrBytes)
        this.#stderr.push(chunk.subarray(0, maxStderrBytes - this.#stderrBytes))
      this.#stderrBytes += chunk.length
    })
  }

  #collect(chunk: Buffer): void {
    const limit = this.#options.maxOutputBytes ?? defaultMaxOutputBytes
    this.#stdoutBytes += chunk.length
    if (this.#stdoutBytes <= limit) this.#stdout.push(chunk)
    else
      this.#fail(
        new AppError('device-rejected', `The command gave more than ${limit} bytes of output`, {
          object: this.#options.object,
          effect: 'unknown',
        }),
      )
  }

  /** Hands a chunk on, and takes no more until it is accepted. */
  #pass(chunk: Buffer): void {
    const accept = async (): Promise<void> => {
      await this.#options.onStdout?.(chunk)
      this.#channel.resume()
    }
    this.#channel.pause()
    this.#lastChunk = accept()
    this.#lastChunk.catch((error: unknown) => this.#fail(error))
  }

  async #feed(): Promise<void> {
    const { stdin, tethered } = this.#options
    // The open input is the tether.
    if (tethered === true) return
    if (stdin instanceof Uint8Array) await this.#write(stdin)
    else if (stdin !== undefined)
      for await (const chunk of stdin) {
        if (this.#isOver || this.#command.isClosed || !this.#channel.writable) return
        await this.#write(chunk)
      }
    this.#isInputComplete = true
    this.#channel.end()
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (this.#channel.write(chunk)) return
    const drained = new Promise<void>((resolve) => {
      this.#channel.once('drain', resolve)
    })
    // A command may end without having read everything: then its channel closes, and nothing drains any more.
    await Promise.race([drained, this.#command.closed, this.#failed.catch(() => undefined)])
  }

  /**
   * Ends what can be ended. Tethered: the remote process group, waiting for its end. Otherwise a script that has all
   * its input, and was only given up on, goes on to its end with its output thrown away; what lacks input cannot.
   */
  async #windDown(isGivenUp: boolean): Promise<void> {
    const channel = this.#channel
    this.#isOver = true
    channel.removeAllListeners('data')
    channel.resume()
    if (this.#options.tethered === true) {
      channel.end()
      let timer: NodeJS.Timeout | undefined
      const patience = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, tetherEndMs)
      })
      await Promise.race([this.#command.closed, patience])
      clearTimeout(timer)
    } else if (isGivenUp && this.#isInputComplete) return
    channel.close()
  }
}

/**
 * Waits for the end of a command. Rejects with the signal's reason, device-rejected (too much output), or what
 * `onStdout` or `stdin` threw.
 */
export async function runCommand(command: StartedCommand, options: ChannelRunOptions): Promise<Outcome> {
  return await new ChannelRun(command, options).run()
}
