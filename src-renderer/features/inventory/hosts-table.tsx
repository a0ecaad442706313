import { DataTable } from '../../components/data-table.tsx'
import type { Column } from '../../components/data-table.tsx'
import { Instant } from '../../components/instant.tsx'
import { placeOfHost } from '#shared/domain/place.ts'
import type { Inventory } from './inventory-store.ts'

type HostEntry = Inventory['hosts'][number]

const attachText = {
  'open-iscsi': 'kernel initiator',
  'user-space': 'user space',
  console: 'the hypervisor',
} as const

const columns: Column<HostEntry>[] = [
  { title: 'Host', width: 14, cell: (host) => host.config.name },
  { title: 'Place', width: 14, cell: (host) => placeOfHost(host.config) },
  { title: 'Hypervisor', width: 14, cell: (host) => host.facts?.hypervisor ?? 'not asked yet' },
  { title: 'OS type', width: 9, cell: (host) => host.facts?.osType ?? '–' },
  {
    title: 'Attaches by',
    width: 15,
    cell: (host) => (host.facts === undefined ? '–' : attachText[host.facts.attachMethod]),
  },
  { title: 'Initiator', width: 32, cell: (host) => host.facts?.initiatorName ?? '–' },
  {
    title: 'As of',
    width: 16,
    align: 'end',
    cell: (host) => (host.learntAt === undefined ? 'never' : <Instant at={host.learntAt} />),
  },
]

export function HostsTable({ hosts }: { hosts: Inventory['hosts'] }) {
  return (
    <DataTable
      label="Hosts"
      columns={columns}
      rowKey={(host) => host.config.name}
      groups={[{ key: 'all', rows: hosts }]}
    />
  )
}
