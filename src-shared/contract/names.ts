import type { CallName, EventName } from './index.ts'

/**
 * The names of the contract without its schemas, for the preload (zod would be 150 kB there). Kept equal to the
 * contract by the types below and by a test.
 */
export const callNames = [
  'connections.inspectHostKey',
  'connections.trustHostKey',
  'inventory.addArray',
  'inventory.removeArray',
  'inventory.stopArray',
  'inventory.probeArray',
  'inventory.listArrays',
  'inventory.addHost',
  'inventory.removeHost',
  'inventory.probeHost',
  'inventory.listHosts',
  'inventory.listVolumes',
  'inventory.listContainers',
  'inventory.showContainer',
  'inventory.listLuns',
  'inventory.listVms',
  'inventory.listDeployments',
  'inventory.readTemplate',
  'operations.plan',
  'operations.start',
  'units.show',
  'units.scan',
  'units.lock',
  'units.unlock',
  'jobs.list',
  'jobs.get',
  'jobs.resume',
  'jobs.undo',
  'jobs.cancel',
  'jobs.close',
] as const satisfies readonly CallName[]

export const eventNames = [
  'inventory.inventoryChanged',
  'jobs.jobChanged',
  'jobs.stepChanged',
  'jobs.progressChanged',
  'jobs.logAdded',
] as const satisfies readonly EventName[]

type Complete<All, Listed> = [Exclude<All, Listed>] extends [never] ? true : Exclude<All, Listed>
/** @public Do not compile while a name of the contract is missing above; the error shows the name. */
export const callNamesAreComplete: Complete<CallName, (typeof callNames)[number]> = true
/** @public */
export const eventNamesAreComplete: Complete<EventName, (typeof eventNames)[number]> = true
