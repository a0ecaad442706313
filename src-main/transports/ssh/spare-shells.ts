import type { ShellScript } from '../shell/script.ts'
import { sh } from '../shell/script.ts'
import { commandLine } from './command-line.ts'
import type { Link } from './link.ts'
import { openChannel, type ChannelKind } from './open-channel.ts'
import { commandChannel, type StartedCommand } from './started-command.ts'

const mostSpares = 2
const idleMs = 60_000

/** A shell that takes its script on standard input: all of it, or it runs nothing (the quote is not closed). */
const shell = sh`exec /bin/sh`
const asInput = (script: ShellScript): string => `{ eval ${sh`${script}`}\n} </dev/null\n`

/**
 * Shells on a link that were started ahead of the scripts that they will run, one script each: a device needs most of
 * the time of a short script to open a channel and to start a shell. They never take the last channel, give way to
 * whoever waits for one, and end after a minute without work.
 */
export class SpareShells {
  readonly #link: Link
  readonly #object: string
  readonly #kind: ChannelKind<StartedCommand>
  readonly #giveUp = new AbortController()
  #spares: StartedCommand[] = []
  #opening = 0
  #idle: NodeJS.Timeout | undefined

  constructor(link: Link, object: string, { sudo }: { readonly sudo: boolean }) {
    this.#link = link
    this.#object = object
    this.#kind = commandChannel(commandLine(shell, { sudo, tethered: false }))
  }

  /** Gives a script to a shell that waits for one. undefined: there is none. */
  start(script: ShellScript): StartedCommand | undefined {
    for (let spare = this.#spares.shift(); spare !== undefined; spare = this.#spares.shift()) {
      if (spare.isClosed || !spare.channel.writable) continue
      spare.channel.write(asInput(script))
      this.refill()
      return spare
    }
    return undefined
  }

  /** For the next scripts. A device that opens no more channels is not asked again. */
  refill(): void {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => this.#endAll(), idleMs).unref()
    while (!this.#giveUp.signal.aborted && this.#spares.length + this.#opening < mostSpares) {
      const release = this.#link.slots.takeSpare()
      if (release === undefined) return
      this.#opening += 1
      void this.#open(release)
    }
  }

  /** Ends one, whose channel becomes free soon. */
  giveWay(): void {
    this.#spares.shift()?.channel.end()
  }

  /** Resolves when the device has ended them all, so that nothing of them is there after the connection. */
  async close(): Promise<void> {
    this.#giveUp.abort()
    clearTimeout(this.#idle)
    await Promise.all(
      this.#spares.splice(0).map(async ({ channel, closed }) => {
        channel.resume().stderr.resume()
        channel.end()
        await closed
      }),
    )
  }

  async #open(release: () => void): Promise<void> {
    try {
      const { signal } = this.#giveUp
      const opened = await openChannel(this.#link, this.#kind, this.#object, signal, release)
      if (opened.state === 'open') this.#spares.push(opened.channel)
      else this.#giveUp.abort()
    } catch {
      // Whoever runs a script the usual way is told what is wrong.
      this.#giveUp.abort()
    } finally {
      this.#opening -= 1
    }
  }

  #endAll(): void {
    for (const spare of this.#spares.splice(0)) spare.channel.end()
  }
}
