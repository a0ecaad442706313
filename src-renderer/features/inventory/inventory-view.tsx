import { useEffect } from 'react'
import { EmptyState } from '../../components/empty-state.tsx'
import { ErrorNotice } from '../../components/error-notice.tsx'
import { Panel } from '../../components/panel.tsx'
import { ArraysTable } from './arrays-table.tsx'
import { ContainersTable } from './containers-table.tsx'
import { DeploymentsTable } from './deployments-table.tsx'
import { HostsTable } from './hosts-table.tsx'
import { followInventory, loadInventory, useInventory } from './inventory-store.ts'
import styles from './inventory-view.module.css'

export function InventoryView() {
  const { inventory, error } = useInventory()
  useEffect(followInventory, [])
  return (
    <div className={styles.inventory}>
      {error === undefined ? null : <ErrorNotice error={error} onRetry={() => void loadInventory()} />}
      {inventory === undefined ? (
        error === undefined ? (
          <p className={styles.loading}>Reading the inventory …</p>
        ) : null
      ) : (
        <>
          <Panel title="Arrays" note={String(inventory.arrays.length)}>
            {inventory.arrays.length === 0 ? (
              <EmptyState
                text="No arrays yet. Add the storage that containers shall lie on:"
                command="gantry array add NAME --ssh USER@HOST --volume NAME=PATH --portal HOST:PORT"
              />
            ) : (
              <ArraysTable arrays={inventory.arrays} />
            )}
          </Panel>
          <Panel title="Hosts" note={String(inventory.hosts.length)}>
            {inventory.hosts.length === 0 ? (
              <EmptyState
                text="No hosts yet. Add a hypervisor that stages and runs VMs:"
                command="gantry host add NAME --ssh USER@HOST"
              />
            ) : (
              <HostsTable hosts={inventory.hosts} />
            )}
          </Panel>
          <Panel title="Containers" note={String(inventory.containers.length)}>
            {inventory.containers.length === 0 ? (
              <EmptyState
                text="No containers yet. Stage a VM once, then deploy it without formatting or copying:"
                command="gantry stage --host HOST --domain VM --to ARRAY/VOLUME/NAME"
              />
            ) : (
              <ContainersTable containers={inventory.containers} deployments={inventory.deployments} />
            )}
          </Panel>
          <Panel title="Deployments" note={String(inventory.deployments.length)}>
            {inventory.deployments.length === 0 ? (
              <EmptyState
                text="No VM is deployed from a container."
                command="gantry deploy CONTAINER --host HOST"
              />
            ) : (
              <DeploymentsTable deployments={inventory.deployments} />
            )}
          </Panel>
        </>
      )}
    </div>
  )
}
