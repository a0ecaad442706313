import type { InventoryRecords } from '#main/jobs/kinds/records.ts'
import type { Store } from '#main/store/store.ts'

/** What jobs write, onto the store's repositories. */
export function inventoryRecords(store: Store): InventoryRecords {
  const changeInitiators = (
    array: string,
    serial: string,
    change: (names: readonly string[]) => string[],
  ): void => {
    const record = store.luns.find(array, serial)
    if (record !== undefined) store.luns.put({ ...record, initiators: change(record.initiators) })
  }
  return {
    putContainer: (container) => store.containers.put(container),
    deleteContainer: (array, volume, name) => store.containers.delete(array, volume, name),
    putLun: (record) => store.luns.put(record),
    deleteLun: (array, serial) => store.luns.delete(array, serial),
    addInitiator: (array, serial, initiator) =>
      changeInitiators(array, serial, (names) => [...new Set([...names, initiator])]),
    removeInitiator: (array, serial, initiator) =>
      changeInitiators(array, serial, (names) => names.filter((name) => name !== initiator)),
    putDeployment: (deployment) => store.deployments.put(deployment),
    deleteDeployment: (name) => store.deployments.delete(name),
    putTemplate: (template) => store.templates.put(template),
  }
}
