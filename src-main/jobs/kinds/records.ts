import type { Deployment, Template } from '#shared/domain/compute.ts'
import type { Container } from '#shared/domain/storage.ts'
import type { CreateLun } from '#main/drivers/arrays/contract.ts'

/** A LUN that Gantry has made and to whom it is mapped: what is needed to make it again. */
export interface LunRecord {
  readonly array: string
  readonly lun: CreateLun
  readonly initiators: readonly string[]
}

/** What jobs write into the inventory. Every method commits; deleting what is not there succeeds. */
export interface InventoryRecords {
  putContainer(container: Container): void
  deleteContainer(array: string, volume: string, name: string): void
  putLun(record: LunRecord): void
  deleteLun(array: string, serial: string): void
  /** A LUN that is not in the inventory is left alone: it is not ours to restore. */
  addInitiator(array: string, serial: string, initiator: string): void
  removeInitiator(array: string, serial: string, initiator: string): void
  putDeployment(deployment: Deployment): void
  deleteDeployment(name: string): void
  putTemplate(template: Template): void
}
