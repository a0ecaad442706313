import type { Deployment, DeploymentRecipe, Template } from '#shared/domain/compute.ts'
import type { Container, LunIdentity, ObjectRef, OsType } from '#shared/domain/storage.ts'

/** A LUN that Gantry has made and to whom it is mapped: what is needed to make it again. */
export interface LunRecord {
  array: string
  identity: LunIdentity
  backing: ObjectRef
  osType: OsType
  initiators: string[]
}

/** What jobs write into the inventory. Every method commits; deleting what is not there succeeds. */
export interface InventoryRecords {
  putContainer(container: Container): void
  deleteContainer(array: string, volume: string, name: string): void
  putLun(record: LunRecord): void
  deleteLun(array: string, name: string): void
  /** A LUN that is not in the inventory is left alone: it is not ours to restore. */
  addInitiator(array: string, lun: string, initiator: string): void
  removeInitiator(array: string, lun: string, initiator: string): void
  putDeployment(deployment: Deployment, recipe: DeploymentRecipe): void
  deleteDeployment(name: string): void
  putTemplate(host: string, template: Template): void
}
