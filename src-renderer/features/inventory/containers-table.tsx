import { DataTable } from '../../components/data-table.tsx'
import type { Column } from '../../components/data-table.tsx'
import { Instant } from '../../components/instant.tsx'
import { formatBytes } from '#shared/units/bytes.ts'
import type { Inventory } from './inventory-store.ts'

type Container = Inventory['containers'][number]

const stateWords = { ok: '', damaged: 'damaged', newer: 'newer format', empty: 'empty' } as const

const fits = ({ staged }: Container): string =>
  staged === undefined ? '' : `${staged.osType}, ${staged.fileSystem}`

const columnsFor = (deployments: Inventory['deployments']): Column<Container>[] => {
  const deployedFrom = Map.groupBy(deployments, (deployment) => deployment.container.unitId)
  return [
    { title: 'Container', width: 16, cell: (container) => container.name },
    { title: 'Volume', width: 17, cell: (container) => `${container.array}/${container.volume}` },
    { title: 'Size', width: 10, align: 'end', cell: (container) => formatBytes(container.sizeBytes) },
    { title: 'Fits', width: 14, cell: fits },
    {
      title: 'Staged from',
      width: 17,
      cell: ({ staged, state }) => staged?.templateName ?? stateWords[state],
    },
    {
      title: 'Deployed',
      width: 10,
      align: 'end',
      cell: (container) => deployedFrom.get(container.staged?.unitId ?? '')?.length ?? 0,
    },
    {
      title: 'Staged',
      width: 16,
      align: 'end',
      cell: ({ staged }) => (staged === undefined ? '' : <Instant at={staged.stagedAt} />),
    },
  ]
}

export function ContainersTable({ containers, deployments }: Pick<Inventory, 'containers' | 'deployments'>) {
  return (
    <DataTable
      label="Containers"
      columns={columnsFor(deployments)}
      rowKey={(container) => `${container.array}/${container.volume}/${container.name}`}
      groups={[{ key: 'all', rows: containers }]}
    />
  )
}
