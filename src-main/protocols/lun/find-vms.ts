import type { LunClass } from './classify.ts'

/** A LUN of a scan: `id` is for whoever scans, `scsiIds` are its names of VPD page 83h, the best first. */
export interface ScannedLun {
  readonly id: string
  readonly scsiIds: readonly string[]
  readonly found: LunClass
}

export interface FoundVm {
  readonly name: string
  readonly uuid?: string
  /** Ids of the LUN with the base unit, one for each path to it; empty: only secondary units were seen. */
  readonly base: readonly string[]
  /** As the base names them, then those that no base names. */
  readonly secondaries: readonly FoundSecondary[]
}

export interface FoundSecondary {
  readonly index: number
  readonly scsiId?: string
  /** Ids of the LUNs with this identity; several are paths to one. Empty: missing. */
  readonly luns: readonly string[]
  readonly problem?: string
}

/** One LUN, by all the paths on which it was seen. */
type Lun = readonly [ScannedLun, ...ScannedLun[]]

/** The VMs on these LUNs with their secondary units (B12), by SCSI identity alone. */
export function findVms(paths: readonly ScannedLun[]): FoundVm[] {
  const luns = joinPaths(paths)
  const named = new Set<Lun>()
  const bases = luns.flatMap((lun) => {
    const header = headerOf(lun)
    if (header === undefined || lun[0].found.kind !== 'vm' || header.role !== 'base') return []
    const secondaries = header.secondaryUnits.map(({ scsiId, index }): FoundSecondary => {
      const seen = luns.find((other) => other.some(({ scsiIds }) => scsiIds.includes(scsiId)))
      if (seen !== undefined) named.add(seen)
      const problem = problemOf(seen, header.vm.uuid, index)
      return { index, scsiId, luns: idsOf(seen ?? []), ...(problem === undefined ? {} : { problem }) }
    })
    return [{ ...nameOf(header), base: idsOf(lun), secondaries }]
  })
  return [...bases, ...orphans(luns.filter((lun) => !named.has(lun)))]
}

/** LUNs with a common identity are one. */
function joinPaths(paths: readonly ScannedLun[]): Lun[] {
  const luns = new Map<string, [ScannedLun, ...ScannedLun[]]>()
  for (const path of paths) {
    const key = path.scsiIds[0] ?? `no identity: ${path.id}`
    const known = luns.get(key)
    if (known === undefined) luns.set(key, [path])
    else known.push(path)
  }
  return [...luns.values()]
}

const idsOf = (lun: readonly ScannedLun[]): string[] => lun.map(({ id }) => id)

const headerOf = ([{ found }]: Lun): NonNullable<LunUnit['header']> | undefined =>
  'unit' in found ? found.unit.header : undefined
type LunUnit = Extract<LunClass, { unit: unknown }>['unit']

const nameOf = ({ vm }: NonNullable<LunUnit['header']>): Pick<FoundVm, 'name' | 'uuid'> => ({
  name: vm.name,
  ...(vm.uuid === undefined ? {} : { uuid: vm.uuid }),
})

function problemOf(lun: Lun | undefined, vmUuid: string | undefined, index: number): string | undefined {
  if (lun === undefined) return 'No LUN with this identity was seen'
  const { kind } = lun[0].found
  if (kind === 'damaged') return 'Its unit is damaged'
  if (kind === 'newer') return 'Its unit was written by a newer Gantry'
  const header = headerOf(lun)
  if (kind !== 'vm' || header?.role !== 'secondary') return 'The LUN holds no secondary unit'
  if (header.vm.uuid !== vmUuid) return `Its unit belongs to VM ${header.vm.name}`
  if (!header.disks.some((disk) => disk.index === index)) return `Its unit does not hold disk ${index}`
  return undefined
}

/** Secondary units that no base names: one VM for all of a UUID. */
function orphans(luns: readonly Lun[]): FoundVm[] {
  const vms = new Map<string, FoundVm>()
  for (const lun of luns) {
    const header = headerOf(lun)
    if (lun[0].found.kind !== 'vm' || header?.role !== 'secondary') continue
    const key = header.vm.uuid ?? lun[0].id
    const before = vms.get(key) ?? { ...nameOf(header), base: [], secondaries: [] }
    const secondaries = header.disks.map(({ index }) => ({
      index,
      luns: idsOf(lun),
      problem: 'No base unit that was seen names it',
    }))
    vms.set(key, { ...before, secondaries: [...before.secondaries, ...secondaries] })
  }
  return [...vms.values()]
}
