import { create } from 'zustand'
import type { OutputOf } from '#shared/contract/index.ts'
import type { WireError } from '#shared/errors/wire-error.ts'
import { call, listen } from '../../api/gantry.ts'

export interface Inventory {
  readonly arrays: OutputOf<'inventory.listArrays'>
  readonly hosts: OutputOf<'inventory.listHosts'>
  readonly containers: OutputOf<'inventory.listContainers'>
  readonly deployments: OutputOf<'inventory.listDeployments'>
}

export interface InventoryState {
  /** undefined until the first load has ended well; kept when a later load fails. */
  readonly inventory: Inventory | undefined
  readonly error: WireError | undefined
}

export const useInventory = create<InventoryState>(() => ({ inventory: undefined, error: undefined }))

let loading = false
let again = false

/** Loads the last known inventory. A call while one is under way leads to one more load after it, never to two at once. */
export async function loadInventory(): Promise<void> {
  if (loading) {
    again = true
    return
  }
  loading = true
  do {
    again = false
    useInventory.setState(await readInventory())
  } while (again)
  loading = false
}

async function readInventory(): Promise<Partial<InventoryState>> {
  const [arrays, hosts, containers, deployments] = await Promise.all([
    call('inventory.listArrays', {}),
    call('inventory.listHosts', {}),
    call('inventory.listContainers', {}),
    call('inventory.listDeployments', {}),
  ])
  if (!arrays.ok) return { error: arrays.error }
  if (!hosts.ok) return { error: hosts.error }
  if (!containers.ok) return { error: containers.error }
  if (!deployments.ok) return { error: deployments.error }
  const inventory = {
    arrays: arrays.value,
    hosts: hosts.value,
    containers: containers.value,
    deployments: deployments.value,
  }
  return { inventory, error: undefined }
}

/** Loads, and loads again whenever the core says that something changed. Returns the function that ends it. */
export function followInventory(): () => void {
  const stop = listen('inventory.inventoryChanged', () => void loadInventory())
  void loadInventory()
  return stop
}
