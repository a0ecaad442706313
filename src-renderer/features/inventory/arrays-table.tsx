import { DataTable } from '../../components/data-table.tsx'
import type { Column } from '../../components/data-table.tsx'
import { formatInstant } from '../../components/instant.tsx'
import { Meter } from '../../components/meter.tsx'
import { placeOfArray } from '#shared/domain/place.ts'
import type { Volume } from '#shared/domain/storage.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import type { Inventory } from './inventory-store.ts'
import styles from './cells.module.css'

type ArrayEntry = Inventory['arrays'][number]

const lunText = ({ lunCount, lunLimit }: Volume): string =>
  lunCount >= lunLimit ? `full, ${lunCount} of ${lunLimit}` : `${lunCount} of ${lunLimit}`

const columns: Column<Volume>[] = [
  { title: 'Volume', width: 16, cell: (volume) => volume.name },
  {
    title: 'File system',
    width: 18,
    cell: (volume) => `${volume.fileSystem}, ${volume.canReflink ? 'clones' : 'no clones'}`,
  },
  { title: 'Size', width: 10, align: 'end', cell: (volume) => formatBytes(volume.sizeBytes) },
  {
    title: 'Used',
    width: 21,
    cell: (volume) => (
      <Meter
        label={`Used of ${volume.name}`}
        value={volume.usedBytes}
        max={volume.sizeBytes}
        text={formatBytes(volume.usedBytes)}
        warnFrom={0.9}
      />
    ),
  },
  { title: 'Free', width: 10, align: 'end', cell: (volume) => formatBytes(volume.freeBytes) },
  {
    title: 'LUNs',
    width: 25,
    cell: (volume) => (
      <Meter
        label={`LUNs of ${volume.name}`}
        value={volume.lunCount}
        max={volume.lunLimit}
        text={lunText(volume)}
        warnFrom={0.9}
      />
    ),
  },
]

function ArrayHead({ entry }: { entry: ArrayEntry }) {
  const { config, identity, learntAt } = entry
  const facts = [
    ...(identity === undefined ? [] : [`${identity.product} ${identity.version}`]),
    placeOfArray(config),
    learntAt === undefined ? 'never asked' : `as of ${formatInstant(learntAt)}`,
  ]
  return (
    <>
      <span className={styles.name}>{config.name}</span>{' '}
      <span className={styles.facts}>{facts.join(' · ')}</span>
    </>
  )
}

export function ArraysTable({ arrays }: { arrays: Inventory['arrays'] }) {
  return (
    <DataTable
      label="Arrays and their volumes"
      columns={columns}
      rowKey={(volume) => volume.name}
      groups={arrays.map((entry) => ({
        key: entry.config.name,
        head: <ArrayHead entry={entry} />,
        whenEmpty: (
          <>
            No volume is known yet. Ask the array: <code>gantry array probe {entry.config.name}</code>
          </>
        ),
        rows: entry.volumes,
      }))}
    />
  )
}
