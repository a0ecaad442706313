import {
  dataOffsetBytes,
  headerPartitionFirstLba,
  headerPartitionName,
  headerPartitionSectors,
  trailerBytes,
  unitPartitionTypes,
} from '#shared/domain/unit-layout.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { MiB, roundUp, sectorBytes } from '#shared/units/bytes.ts'

/**
 * What of a VM's disks lies in its base unit beside configuration, state and snapshots (B4); each of the others gets a
 * secondary unit. `state`: none; `without-primary`: all but disk 0; `primary`: disk 0; `all`: all; else the indices.
 */
export const baseContents = ['state', 'without-primary', 'primary', 'all'] as const
export type BaseContents = (typeof baseContents)[number]

export interface DisksLayoutRequest {
  readonly contents: BaseContents | readonly number[]
  /** Index 0 is the disk that the VM boots from. Sizes are whole sectors. */
  readonly disks: readonly { readonly index: number; readonly sizeBytes: number }[]
  readonly memoryBytes: number
  /** Room for the state; at least the memory, which is the default. */
  readonly stateBytes?: number
  /** Default 1 MiB. */
  readonly configurationBytes?: number
  /** Default 16 MiB. */
  readonly snapshotsBytes?: number
  /** Sizes of LUNs and containers of the array are multiples of it; default 1 MiB. */
  readonly alignmentBytes?: number
}

export type Component = Exclude<keyof typeof unitPartitionTypes, 'header'>

export interface PlannedPartition {
  /** Its place in the table, from 1. */
  readonly number: number
  readonly component: 'header' | Component
  readonly type: string
  readonly name: string
  readonly firstLba: number
  readonly sectors: number
  /** Of a virtual disk: its index, and its size, which the guest sees; the partition may be longer. */
  readonly disk?: { readonly index: number; readonly sizeBytes: number }
}

export interface PlannedUnit {
  readonly role: 'base' | 'secondary'
  readonly sizeBytes: number
  readonly partitions: readonly PlannedPartition[]
}

const maxPartitions = 128

/** Where everything of a VM lies (docs/unit-format.md, layout `disks`). Throws bad-request. */
export function planDisksLayout(request: DisksLayoutRequest): {
  readonly base: PlannedUnit
  /** One for each disk that is not in the base, in their order. */
  readonly secondaries: readonly PlannedUnit[]
} {
  const {
    memoryBytes,
    stateBytes = memoryBytes,
    configurationBytes = MiB,
    snapshotsBytes = 16 * MiB,
  } = request
  if (stateBytes < memoryBytes)
    throw new AppError(
      'bad-request',
      `${stateBytes} bytes for the state are less than the VM's memory of ${memoryBytes} bytes`,
      { advice: 'Give at least the size of the memory, or nothing.' },
    )
  const disks = checkedDisks(request.disks)
  const inBase = disks.filter(({ index }) => isInBase(request.contents, index))
  return {
    base: planUnit('base', request, [
      { component: 'configuration', name: 'configuration', bytes: configurationBytes },
      { component: 'state', name: 'state', bytes: stateBytes },
      { component: 'snapshots', name: 'snapshots', bytes: snapshotsBytes },
      ...inBase.map(diskPart),
    ]),
    secondaries: disks
      .filter((disk) => !inBase.includes(disk))
      .map((disk) => planUnit('secondary', request, [diskPart(disk)])),
  }
}

interface Part {
  readonly component: Component
  readonly name: string
  readonly bytes: number
  readonly disk?: PlannedPartition['disk']
}

const diskPart = (disk: DisksLayoutRequest['disks'][number]): Part => ({
  component: 'virtualDisk',
  name: `disk${disk.index}`,
  bytes: disk.sizeBytes,
  disk,
})

function isInBase(contents: DisksLayoutRequest['contents'], index: number): boolean {
  if (typeof contents !== 'string') return contents.includes(index)
  if (contents === 'all') return true
  return contents !== 'state' && (contents === 'primary') === (index === 0)
}

function checkedDisks(disks: DisksLayoutRequest['disks']): DisksLayoutRequest['disks'] {
  const seen = new Set<number>()
  for (const { index, sizeBytes } of disks) {
    if (!Number.isSafeInteger(index) || index < 0 || seen.has(index))
      throw new AppError('bad-request', `The index ${index} of a disk is not one of 0, 1, 2 ..., each once`)
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % sectorBytes !== 0)
      throw new AppError('bad-request', `Disk ${index} has ${sizeBytes} bytes, which are not whole sectors`)
    seen.add(index)
  }
  return disks
}

function planUnit(
  role: PlannedUnit['role'],
  { alignmentBytes = MiB }: DisksLayoutRequest,
  parts: readonly Part[],
): PlannedUnit {
  if (parts.length >= maxPartitions)
    throw new AppError('bad-request', `${parts.length} components do not fit into one unit`, {
      advice: 'Put disks into secondary units.',
    })
  const partitions: PlannedPartition[] = [
    {
      number: 1,
      component: 'header',
      type: unitPartitionTypes.header,
      name: headerPartitionName,
      firstLba: headerPartitionFirstLba,
      sectors: headerPartitionSectors,
    },
  ]
  let next = dataOffsetBytes
  for (const { component, name, bytes, disk } of parts) {
    if (!(bytes > 0)) throw new AppError('bad-request', `${bytes} bytes are no size for ${name}`)
    const length = roundUp(bytes, MiB)
    partitions.push({
      number: partitions.length + 1,
      component,
      type: unitPartitionTypes[component],
      name,
      firstLba: next / sectorBytes,
      sectors: length / sectorBytes,
      ...(disk === undefined ? {} : { disk }),
    })
    next += length
  }
  const sizeBytes = roundUp(next + trailerBytes, alignmentBytes)
  if (!Number.isSafeInteger(sizeBytes))
    throw new AppError('bad-request', `A unit of ${sizeBytes} bytes is too large`)
  return { role, sizeBytes, partitions }
}
