import type { ScannedLunEntry, UnitReport, UnitScan } from '#shared/contract/units.ts'
import { formatBytes, sectorBytes } from '#shared/units/bytes.ts'
import { formatDuration } from '#shared/units/duration.ts'
import { formatTable } from './table.ts'

export const kindWords = {
  vm: 'VM unit',
  container: 'container',
  newer: 'unit of a newer Gantry',
  damaged: 'DAMAGED unit',
  boot: 'boot disk',
  other: 'no unit',
  empty: 'empty',
  'no-disk': 'no disk',
} as const

type LockState = NonNullable<UnitReport['lock']>

/** "held by kvm1, for 5 min 10 s (boot 0011...)". */
export function describeLock(state: LockState, nowMs: number): string {
  if (state.state === 'free') return 'free'
  if (state.state === 'damaged') return `damaged: ${state.problem}`
  const { owner, takenAt, bootId } = state.lock
  const gone = state.isGone ? '; its process is not there any more' : ''
  const ageMs = nowMs - Date.parse(takenAt)
  return `held by ${owner}, ${ageMs < 0 ? 'by a clock ahead of this one' : `for ${formatDuration(ageMs)}`} (since ${takenAt}, boot ${bootId})${gone}`
}

export function describeUnit(report: UnitReport, nowMs: number): string {
  const { lun, header, lock } = report
  const lines = [
    `Device       ${report.device}`,
    `Size         ${formatBytes(report.sizeBytes)} (${report.sizeBytes} bytes)`,
    ...(lun === undefined
      ? []
      : [
          `Says         ${[lun.vendor, lun.product, lun.revision].filter((text) => text !== '').join(' ')}${lun.serial === undefined ? '' : `, serial ${lun.serial}`}`,
          `Identity     ${lun.scsiIds.join(', ') || 'none'}`,
        ]),
    `Is           ${[kindWords[report.kind], ...report.content].join('; ')}`,
    ...report.problems.map((problem) => `Problem      ${problem}`),
    ...(header === undefined ? [] : headerLines(header, report.generation)),
    ...(lock === undefined ? [] : [`Lock         ${describeLock(lock, nowMs)}`]),
  ]
  return [lines.join('\n'), ...tables(report)].join('\n\n')
}

function headerLines(header: NonNullable<UnitReport['header']>, generation: number | undefined): string[] {
  const { vm } = header
  return [
    `Unit         ${header.unitId}, ${header.role}, layout ${header.layout}${generation === undefined ? '' : `, generation ${generation}`}`,
    `VM           ${vm.name}${vm.uuid === undefined ? '' : ` (${vm.uuid})`}, ${vm.cpus} CPU, ${formatBytes(vm.memoryBytes)}, ${vm.hypervisor}`,
    `Fits         ${header.osType}${header.fileSystem === undefined ? '' : `, ${header.fileSystem.type}`}`,
    `Staged       ${header.stagedAt} from ${header.stagedFrom}, by ${header.stagedBy.product} ${header.stagedBy.version}`,
    ...header.secondaryUnits.map(({ index, scsiId }) => `Secondary    disk ${index} is on ${scsiId}`),
    ...(header.notes === '' ? [] : [`Notes        ${header.notes}`]),
  ]
}

function tables({ partitions, header }: UnitReport): string[] {
  return [
    formatTable(partitions, [
      { title: 'PARTITION', align: 'right', value: ({ number }) => String(number) },
      { title: 'NAME', value: ({ name }) => name ?? '' },
      { title: 'BEGINS AT', align: 'right', value: ({ firstLba }) => String(firstLba * sectorBytes) },
      { title: 'SIZE', align: 'right', value: ({ sectors }) => formatBytes(sectors * sectorBytes) },
      { title: 'TYPE', value: ({ type }) => type },
    ]),
    formatTable(header?.disks ?? [], [
      { title: 'DISK', align: 'right', value: ({ index }) => String(index) },
      { title: 'FORMAT', value: ({ format }) => format },
      { title: 'SIZE', align: 'right', value: ({ sizeBytes }) => formatBytes(sizeBytes) },
      { title: 'LIES IN', value: ({ path, partition }) => path ?? `partition ${partition ?? '?'}` },
      { title: 'SHA-256', value: ({ sha256 }) => sha256 ?? '-' },
    ]),
  ].filter((text) => text !== '')
}

/** VMs first, then what is damaged, then boot disks, then all other LUNs (B5, B12). */
export function describeScan({ luns, vms, targets }: UnitScan): string {
  const of = (...kinds: ScannedLunEntry['kind'][]): ScannedLunEntry[] =>
    luns.filter(({ kind }) => kinds.includes(kind))
  const noDisks = of('no-disk').length
  const group = (title: string, entries: readonly ScannedLunEntry[]): string =>
    entries.length === 0 ? '' : `${title}\n${lunTable(entries)}`
  const parts = [
    vms.length === 0 ? 'No VM was found.' : `VMs\n${vmTable(vms)}`,
    group('Damaged units', of('damaged')),
    group('LUNs of VMs and containers', of('vm', 'container', 'newer')),
    group('Boot disks', of('boot')),
    group('Other LUNs', of('other', 'empty')),
    group('Not read', of(undefined)),
    noDisks === 0 ? '' : `${noDisks} LUN${noDisks === 1 ? ' is no disk' : 's are no disks'}.`,
    targets.length === 0
      ? ''
      : `Targets that did not answer\n${targets.map(({ target, error }) => `  ${target}: ${error.message} (${error.code})`).join('\n')}`,
  ]
  return parts.filter((text) => text !== '').join('\n\n')
}

const vmTable = (vms: UnitScan['vms']): string =>
  formatTable(vms, [
    { title: 'VM', value: ({ name }) => name },
    { title: 'UUID', value: ({ uuid }) => uuid ?? '-' },
    { title: 'BASE UNIT', value: ({ base }) => base.join(', ') || 'not seen' },
    {
      title: 'SECONDARY UNITS',
      value: ({ secondaries }) =>
        secondaries
          .map(({ index, luns, problem, scsiId }) => {
            const where = luns.join(', ') || scsiId || '?'
            return `disk ${index}: ${where}${problem === undefined ? '' : ` (${problem})`}`
          })
          .join('; ') || '-',
    },
  ])

const lunTable = (entries: readonly ScannedLunEntry[]): string =>
  formatTable(entries, [
    { title: 'LUN', value: ({ id }) => id },
    {
      title: 'SIZE',
      align: 'right',
      value: ({ sizeBytes }) => (sizeBytes === undefined ? '?' : formatBytes(sizeBytes)),
    },
    {
      title: 'IS',
      value: ({ kind, content, role, vmName, error }) => {
        if (error !== undefined) return `${error.message} (${error.code})`
        const what = content.length > 0 ? content.join('; ') : kindWords[kind ?? 'other']
        return vmName === undefined ? what : `${what}: ${vmName}${role === undefined ? '' : `, ${role}`}`
      },
    },
    { title: 'PROBLEMS', value: ({ problems }) => problems.join('; ') || '-' },
    { title: 'IDENTITY', value: ({ lun }) => lun?.scsiIds[0] ?? '-' },
  ])
