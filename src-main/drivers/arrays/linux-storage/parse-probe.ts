import type { LinuxStorageConfig, Check } from '#shared/domain/storage.ts'
import type { ArrayProbe } from '../contract.ts'

const adviceFor: readonly (readonly [RegExp, string])[] = [
  [/^root$/, 'Connect as root, or allow sudo without a password and set "sudo" in the connection.'],
  [/^tgtadm$/, 'Install tgt on the array: apt install tgt, dnf install scsi-target-utils.'],
  [/^tgtd$/, 'Start tgtd on the array (systemctl start tgt), or correct the control port in the settings.'],
  [
    /^portal$/,
    'Correct the portal or the control port in the settings, so that both belong to the same tgtd.',
  ],
  [/^volume /, 'Mount the volume on the array, or correct its path in the settings.'],
  [/^reflink /, 'Use a volume on XFS (made with reflink=1) or Btrfs that can be written to.'],
  [/^path /, 'Use a path without a comma: tgtadm cannot serve files under it.'],
  [/^hash$/, 'Install openssl or coreutils on the array.'],
  [/^(flock|awk|xargs|realpath)$/, 'Install coreutils, util-linux, findutils and an awk on the array.'],
  [/^filefrag$/, 'Install e2fsprogs on the array to see how much space each object has for itself.'],
]

/**
 * Lines of the probe script: `serial S`, `version V`, `portal ADDRESS:PORT` (one for each) and
 * `check NAME ok|bad DETAIL`, with tabs between. Lines of other kinds are left out: a probe answers in any case.
 */
export function parseProbe(config: LinuxStorageConfig, text: string): ArrayProbe {
  const facts = text.split('\n').map((line) => line.split('\t'))
  const valuesOf = (kind: string): string[] =>
    facts.flatMap(([name, value]) => (name === kind && value !== undefined && value !== '' ? [value] : []))
  const checks = facts.flatMap(([kind, name, state, detail]) =>
    kind === 'check' && name !== undefined ? [check(name, state === 'ok', (detail ?? '').trim())] : [],
  )
  return {
    identity: {
      vendor: 'Linux',
      product: 'tgt',
      version: valuesOf('version')[0] ?? 'unknown',
      serial: valuesOf('serial')[0] ?? 'unknown',
    },
    checks: [...checks, checkPortal(config, valuesOf('portal')), ...checkPaths(config)],
  }
}

function check(name: string, ok: boolean, detail: string): Check {
  const full = /No space left on device/.test(detail)
    ? 'The volume is full: delete objects on it or enlarge it.'
    : undefined
  const advice = ok ? undefined : (full ?? adviceFor.find(([pattern]) => pattern.test(name))?.[1])
  return { name, ok, detail, ...(advice === undefined ? {} : { advice }) }
}

/** Only the ports are compared: hosts may reach the array by another address than it sees itself. */
function checkPortal(config: LinuxStorageConfig, portals: readonly string[]): Check {
  const port = (portal: string): string => portal.slice(portal.lastIndexOf(':'))
  const { portal } = config.settings
  const ok = portals.some((known) => port(known) === port(portal))
  return check(
    'portal',
    ok,
    `tgtd listens on ${portals.join(', ') || 'nothing'}; hosts are sent to ${portal}`,
  )
}

/** tgtadm takes its parameters as a list with commas. */
function checkPaths(config: LinuxStorageConfig): Check[] {
  return Object.entries(config.settings.volumes)
    .filter(([, path]) => path.includes(','))
    .map(([name, path]) => check(`path ${name}`, false, path))
}
