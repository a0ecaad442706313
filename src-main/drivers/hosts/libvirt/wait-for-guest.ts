import { AppError } from '#shared/errors/app-error.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import { sh, type ShellScript } from '#main/transports/shell/script.ts'
import type { Action } from '../../action.ts'
import { cleanConsole } from '../../console-text.ts'
import type { ReadySign, VmDefinition } from '../contract.ts'
import type { Virsh } from './virsh.ts'

/** Exit codes of the script beside 0, which comes with the line that was waited for. */
const exits = { stopped: 10, timeout: 11, noAgent: 12 } as const
/** What the connection may take beyond the guest's own time. */
const connectionMs = 30_000

type Guest = Pick<VmDefinition, 'uuid' | 'consoleLog'>

/** One look whether the guest is up; ends the script with success when it is. */
function look(guest: Guest, sign: ReadySign): ShellScript {
  if (sign.kind === 'agent')
    return sh`  out=$(v qemu-agent-command ${guest.uuid} '{"execute":"guest-ping"}' --timeout 2 2>&1) && {
    echo 'the guest agent answers'; exit 0; }
  case $out in *'not configured'*) printf '%s\\n' "$out"; exit ${exits.noAgent} ;; esac`
  return sh`  if line=$(tr -d '\\r\\000' 2>/dev/null <"$log" | grep -aF -m 1 -e ${sign.text}); then
    printf '%s\\n' "$line"; exit 0
  fi`
}

/**
 * Looks five times a second, and once a second whether the VM still runs. Ends with a line on the VM's state and the
 * console's last lines. The time is the host's time since it booted, which nobody sets.
 */
function waitScript(virsh: Virsh, guest: Guest, sign: ReadySign, timeoutMs: number): ShellScript {
  return virsh.script(
    sh`log=${guest.consoleLog}; turn=0; lost=0; state=unknown`,
    sh`up() { read -r now rest </proc/uptime; now=\${now%%.*}; }`,
    sh`finish() { printf '%s\\n' "$state"; tail -c 8000 "$log" 2>/dev/null | tail -n 20; exit "$1"; }`,
    sh`up; end=$((now + ${Math.ceil(timeoutMs / 1000)}))`,
    sh`while :; do`,
    look(guest, sign),
    sh`  if [ $((turn % 5)) -eq 0 ]; then
    if out=$(v domstate ${guest.uuid} --reason 2>&1); then
      lost=0; state=$out
      case $state in 'shut off'*|crashed*|paused*|pmsuspended*) finish ${exits.stopped} ;; esac
    else
      lost=$((lost + 1))
      if [ "$lost" -ge 5 ]; then printf '%s\\n' "$out" >&2; exit 1; fi
    fi
    up; if [ "$now" -ge "$end" ]; then finish ${exits.timeout}; fi
  fi
  turn=$((turn + 1)); sleep 0.2
done`,
  )
}

export function waitForGuest(virsh: Virsh, guest: Guest, sign: ReadySign, timeoutMs: number): Action<string> {
  if (sign.kind === 'serial' && !/^[^\n\r\0]+$/.test(sign.text))
    throw new AppError('bad-request', 'The text to wait for must be one line and not empty')
  const script = waitScript(virsh, guest, sign, timeoutMs)
  const object = `VM ${guest.uuid}`
  return {
    commands: [script],
    async run({ signal }) {
      const options = { signal, timeoutMs: timeoutMs + connectionMs, tethered: true }
      const result = await virsh.run(script, { ...options, expectExit: [0, ...Object.values(exits)] }, object)
      const output = stdoutText(result)
      if (result.exitCode === 0) return cleanConsole(output)
      const [state = '', ...tail] = output.split('\n')
      const consoleText = cleanConsole(tail.join('\n'))
      const facts = { state, 'last lines of the console': consoleText === '' ? 'none' : consoleText }
      const sought =
        sign.kind === 'serial' ? `printed "${sign.text}" on its serial console` : 'answered by its agent'
      if (result.exitCode === exits.noAgent)
        throw new AppError('not-supported', 'The VM has no guest agent channel', {
          object,
          facts: { 'device says': cleanConsole(output) },
          advice:
            'Wait for a text on the serial console instead, or add the channel org.qemu.guest_agent.0 to the template.',
        })
      if (result.exitCode === exits.stopped)
        throw new AppError('device-rejected', `The VM stopped (${state}) before the guest ${sought}`, {
          object,
          facts,
          advice: state.startsWith('paused')
            ? 'A pause by an I/O error means that the volume or the container is full or was lost; correct that and resume the VM.'
            : 'Read the last lines of its console and correct the template.',
        })
      throw new AppError('timeout', `The guest has not ${sought} within ${Math.ceil(timeoutMs / 1000)} s`, {
        object,
        facts,
        advice:
          'The VM goes on running. Allow more time, or correct the text that the guest prints when it is up.',
      })
    },
  }
}
