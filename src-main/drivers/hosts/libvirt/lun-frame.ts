import type { LibvirtHostConfig } from '#shared/domain/compute.ts'
import type { LunAddress } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { lines, raw, sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { exit } from './exit-codes.ts'

const shapes = {
  serial: /^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$/,
  target: /^(iqn|eui|naa)\.[A-Za-z0-9.:_-]{1,219}$/,
  portal: /^([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/,
} as const

/**
 * The parts of an address become file names, options and URLs on the host. Throws bad-request on anything that
 * could mean something else there (a slash, a comma, a leading hyphen).
 */
export function checkAddress(lun: LunAddress): void {
  for (const [part, shape] of Object.entries(shapes)) {
    const value = lun[part as keyof typeof shapes]
    if (!shape.test(value))
      throw new AppError('bad-request', `"${value}" cannot be used as the ${part} of a LUN`, {
        object: `LUN ${lun.name}`,
      })
  }
}

/** Throws bad-request on a name that is not one file in one directory. */
export function checkFileName(name: string): void {
  if (name === '' || name === '.' || name === '..' || name.includes('/'))
    throw new AppError('bad-request', `"${name}" cannot be a file name on a unit`)
}

/** Everything of one LUN on the host is below this directory, which is there as long as anything of it is. */
export const lunDirectory = (config: LibvirtHostConfig, lun: LunAddress): string =>
  `${config.settings.stateDir.replace(/\/+$/, '')}/luns/${lun.serial}`
export const mountPoint = (config: LibvirtHostConfig, lun: LunAddress): string =>
  `${lunDirectory(config, lun)}/mnt`

/** `fail CODE WORDS...` with a code of {@link exit}. */
export const failFunction = sh`fail() { code=$1; shift; printf '%s\\n' "$*" >&2; exit "$code"; }`

const waitFunction = sh`wait_for() { # SECONDS COMMAND...: until the command succeeds, about so long
  left=$(($1 * 50)) quick=25; shift
  until "$@"; do
    if [ "$quick" -gt 0 ]; then quick=$((quick - 1)); sleep 0.004; continue; fi
    left=$((left - 1)); [ "$left" -gt 0 ] || return 1
    sleep 0.02
  done
}`

/*
 * The lock keeps a script whose connection was cut apart from the console's next one. Its file lives as long as
 * the LUN's directory; hence the look whether the locked file still is the one at that path. What a script leaves
 * running must not inherit descriptor 9.
 */
const lockFunction = sh`lock() {
  [ -d "$home" ] || mkdir -p "$home"
  while :; do
    exec 9>>"$dir.lock"
    flock -w 30 9 || fail ${exit.locked} "$dir.lock is held"
    [ "$dir.lock" -ef /proc/self/fd/9 ] && break
  done
  trap '[ -d "$dir" ] || rm -f "$dir.lock"' EXIT
}`

/**
 * A script about one LUN: its identity as variables, the functions that the body uses, and the body. The path is
 * made canonical because the kernel shows the files under loop devices and mounts that way.
 */
export function lunScript(
  config: LibvirtHostConfig,
  lun: LunAddress,
  functions: readonly ShellScript[],
  body: ShellScript,
): ShellScript {
  checkAddress(lun)
  const home = `${config.settings.stateDir.replace(/\/+$/, '')}/luns`
  return lines(
    sh`set -eu; umask 022`,
    sh`serial=${lun.serial} naa=${lun.naa} target=${lun.target} lun=${lun.lun} portal=${lun.portal}`,
    sh`home=$(cd ${home} 2>/dev/null && pwd -P) || home=$(readlink -m ${home})
dir=$home/$serial mnt=$home/$serial/mnt socket=$home/$serial/nbd.sock`,
    failFunction,
    waitFunction,
    lockFunction,
    ...functions,
    sh`${raw(body)}`,
  )
}
