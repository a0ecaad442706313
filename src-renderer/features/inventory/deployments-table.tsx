import { DataTable } from '../../components/data-table.tsx'
import type { Column } from '../../components/data-table.tsx'
import { Instant } from '../../components/instant.tsx'
import type { Deployment } from '#shared/domain/compute.ts'

const backingText = { clone: 'clone', container: 'the container itself', snapshot: 'snapshot' } as const

const columns: Column<Deployment>[] = [
  { title: 'Deployment', width: 16, cell: (deployment) => deployment.name },
  {
    title: 'Container',
    width: 26,
    cell: ({ container }) => `${container.array}/${container.volume}/${container.name}`,
  },
  { title: 'Runs on', width: 16, cell: (deployment) => backingText[deployment.backing.kind] },
  { title: 'Host', width: 13, cell: (deployment) => deployment.host },
  { title: 'LUN', width: 13, cell: (deployment) => deployment.lun.name },
  {
    title: 'Deployed',
    width: 16,
    align: 'end',
    cell: (deployment) => <Instant at={deployment.deployedAt} />,
  },
]

export function DeploymentsTable({ deployments }: { deployments: readonly Deployment[] }) {
  return (
    <DataTable
      label="Deployments"
      columns={columns}
      rowKey={(deployment) => deployment.name}
      groups={[{ key: 'all', rows: deployments }]}
    />
  )
}
