import { formatDesignator, type Designator, type DesignatorType } from '../scsi/designators.ts'

/** Worldwide names first, then those that a vendor or an administrator gives. */
const ranks: Partial<Record<DesignatorType, number>> = {
  naa: 0,
  eui64: 1,
  uuid: 2,
  name: 3,
  t10: 4,
  vendor: 5,
}

/** NAA 3 is given locally (SPC-4, 7.8.6.6.4): another array may use it too, and some change it with each start. */
const isLocal = ({ type, bytes }: Designator): boolean => type === 'naa' && (bytes[0] ?? 0) >> 4 === 3

/**
 * The names of a LUN in a VPD page 83h that tell it from every other one, the best first: "naa.6001405...". What names
 * the port or the whole device is left out.
 */
export const lunIdentities = (designators: readonly Designator[]): string[] => [
  ...new Set(
    designators
      .filter(
        (one) => one.of === 'lun' && ranks[one.type] !== undefined && one.bytes.length > 0 && !isLocal(one),
      )
      .toSorted((a, b) => (ranks[a.type] ?? 0) - (ranks[b.type] ?? 0))
      .map(formatDesignator),
  ),
]
