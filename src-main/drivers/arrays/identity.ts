import { randomBytes } from 'node:crypto'
import type { LunIdentity } from '#shared/domain/storage.ts'

/**
 * First digits of our NAA names: 6 (IEEE registered extended), then 02-67-61, an identifier with the "locally
 * administered" bit set, so that it is no vendor's.
 */
const naaPrefix = '6026761'

/** tgtd's LUN 0 is its controller; disks begin at 1. Each LUN has a target of its own, see docs of {@link newIdentity}. */
const lunNumber = 1

/**
 * A new identity for a LUN. The serial (96 random bits) is our mark; target name and NAA are built on it, so that
 * names that differ only in case or "_" do not collide in the lower-case target name.
 *
 * One target per LUN: tgtd queues a unit attention for every session of a target at each change of its LUNs, and
 * initiators give up after some of them.
 */
export function newIdentity(iqnPrefix: string, lunName: string): LunIdentity {
  const serial = randomBytes(12).toString('hex')
  const slug = lunName.toLowerCase().replaceAll('_', '-')
  return {
    name: lunName,
    target: `${iqnPrefix}:${slug}.${serial}`,
    lun: lunNumber,
    serial,
    naa: naaOfSerial(serial),
  }
}

const naaOfSerial = (serial: string): string => `${naaPrefix}${serial}0`

/** Whether target name, serial and NAA belong together as {@link newIdentity} makes them. */
export const isOurs = (target: string, serial: string, naa: string): boolean =>
  /^[0-9a-f]{24}$/.test(serial) && target.endsWith(`.${serial}`) && naa === naaOfSerial(serial)

/** The LUN's name as far as its target name tells it (lower case, "-" for "_"); valid as a name in any case. */
export function nameOfTarget(target: string, serial: string, lun: number): string {
  const last = target.slice(target.lastIndexOf(':') + 1)
  const name = last.endsWith(`.${serial}`) ? last.slice(0, -serial.length - 1) : `${last}-${lun}`
  return (
    name
      .replaceAll(/[^A-Za-z0-9._-]/g, '-')
      .replace(/^[._-]+/, '')
      .slice(-63) || `lun-${lun}`
  )
}
