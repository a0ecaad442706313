import type { InventoryRecords } from '#main/jobs/kinds/records.ts'
import type { Store } from '#main/store/store.ts'

/** What jobs write, onto the store's repositories. */
export const inventoryRecords = (store: Store): InventoryRecords => ({
  putContainer: (container) => store.containers.put(container),
  deleteContainer: (array, volume, name) => store.containers.delete({ array, volume, name }),
  putLun: (record) => store.luns.put(record),
  deleteLun: (array, name) => store.luns.delete(array, name),
  addInitiator: (array, lun, initiator) => {
    if (store.luns.find(array, lun) !== undefined) store.luns.addInitiator(array, lun, initiator)
  },
  removeInitiator: (array, lun, initiator) => store.luns.removeInitiator(array, lun, initiator),
  putDeployment: (deployment, recipe) => store.deployments.put(deployment, recipe),
  deleteDeployment: (name) => store.deployments.delete(name),
  putTemplate: (host, { name, source, vm, files, warnings }) =>
    store.templates.put({
      host,
      name,
      source,
      summary: { vm, files, warnings },
      learntAt: new Date().toISOString(),
      learntHow:
        source.kind !== 'domain' && source.on === 'console'
          ? 'console: readTemplate'
          : `host ${host}: readTemplate`,
    }),
})
