import { AppError } from '#shared/errors/app-error.ts'
import { lines, raw, sh } from '../shell/script.ts'
import type { ShellScript } from '../shell/script.ts'

/** Linux takes no longer single argument (MAX_ARG_STRLEN), and the login shell gets the command line as one. */
const maxCommandBytes = 128 * 1024 - 1

export interface CommandLineOptions {
  readonly sudo: boolean
  readonly tethered: boolean
}

/**
 * Text as an argument of `printf %b` in which no shell finds anything special, not even in single quotes (csh: ! and
 * newline; fish: the backslash before a quote or a backslash).
 */
const escape = (text: string): string =>
  Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/[^ -~]|['\\!]/g, (byte) => String.raw`\0${byte.charCodeAt(0).toString(8).padStart(3, '0')}`)

/**
 * Runs a script in a process group of its own, which ends when our standard input does: that is when the connection
 * or the channel is gone, or when we say so. TERM first, KILL for what is left. The exit status is the script's.
 */
const tether = (
  script: ShellScript,
): ShellScript => sh`command -v setsid >/dev/null || { echo 'setsid is missing on this device' >&2; exit 127; }
exec 3<&0 </dev/null
setsid /bin/sh -c ${script} 3<&- &
group=$!
( while read -r _; do :; done; kill -s TERM -- "-$group"; sleep 3; kill -s KILL -- "-$group" ) <&3 >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$group" 2>/dev/null; code=$?
kill -s KILL "$watch" 2>/dev/null
kill -s KILL -- "-$group" 2>/dev/null
exit "$code"`

/**
 * What the device's login shell, whichever it is, gets to run. The script itself runs under /bin/sh with LC_ALL=C.
 * Throws bad-request when it is too long for one argument: large input belongs on standard input.
 */
export function commandLine(script: ShellScript, options: CommandLineOptions): string {
  if (script.includes('\0')) throw new AppError('bad-request', 'A script contains a NUL character')
  const body = options.tethered ? tether(script) : script
  const text = lines(sh`LC_ALL=C; export LC_ALL`, sh`${raw(body)}`)
  const run = options.sudo ? 'exec sudo -n -- /bin/sh' : 'exec /bin/sh'
  const command = `/bin/sh -c '${run} -c "$(printf %b "$1")"' sh '${escape(text)}'`
  if (command.length <= maxCommandBytes) return command
  throw new AppError(
    'bad-request',
    `A script is too long for one command: ${command.length} bytes when encoded`,
    {
      advice: 'Hand large data to the script on its standard input.',
    },
  )
}
