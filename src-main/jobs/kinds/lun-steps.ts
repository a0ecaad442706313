import { loginOfArray } from '#shared/domain/storage.ts'
import type { LunAddress, LunIdentity, ObjectRef, OsType } from '#shared/domain/storage.ts'
import type { ArrayDriver, CopyObject, CreateLun } from '#main/drivers/arrays/contract.ts'
import type { HostDriver, MountOptions } from '#main/drivers/hosts/contract.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { Action } from '#main/drivers/action.ts'
import { unitFilesOf } from '#main/drivers/unit-files.ts'
import type { Observation, Step } from '../step.ts'
import { deviceStep } from './device-step.ts'
import type { InventoryRecords } from './records.ts'

/** Target of the steps that a job has on an array. */
export const arrayTarget = ({ config }: { readonly config: { readonly name: string } }): string =>
  `array ${config.name}`
export const hostTarget = (host: HostDriver): string => `host ${host.config.name}`

export async function observeObject(
  array: ArrayDriver,
  ref: ObjectRef,
  mark: string,
  signal: AbortSignal,
  isWhole: (sizeBytes: number) => boolean,
): Promise<Observation> {
  const found = await array.findObject(ref, signal)
  if (found === undefined || found.mark !== mark) return 'absent'
  return isWhole(found.sizeBytes) ? 'present' : 'partial'
}

export type CopyKind = 'snapshot' | 'clone' | 'full-copy'

/** Snapshot or clone of an object (A12), or a full copy in place of both. */
export function copyObjectStep(
  array: ArrayDriver,
  spec: CopyObject,
  kind: CopyKind,
  sizeBytes: number,
): Step {
  const { make, title, weight } = {
    snapshot: { make: array.snapshotObject, title: `Snapshot container ${spec.from.name}`, weight: 0.05 },
    clone: { make: array.cloneObject, title: `Clone ${spec.to.name} from the snapshot`, weight: 0.05 },
    'full-copy': {
      make: array.copyObject,
      title: `Copy container ${spec.from.name} in full: its volume cannot share blocks`,
      weight: 2,
    },
  }[kind]
  if (make === undefined)
    throw new AppError('not-supported', `This array cannot make a ${kind}`, {
      object: arrayTarget(array),
      advice: 'Deploy the container directly (--direct): the VM then writes into the container itself.',
    })
  return deviceStep({
    id: kind,
    title,
    target: arrayTarget(array),
    weight,
    action: make(spec),
    undo: array.deleteObject(spec.to, spec.mark),
    observe: (signal) => observeObject(array, spec.to, spec.mark, signal, (size) => size === sizeBytes),
  })
}

export async function observeLun(
  array: ArrayDriver,
  identity: LunIdentity,
  signal: AbortSignal,
): Promise<Observation> {
  const found = await array.findLun(identity, signal)
  if (found === undefined) return 'absent'
  return found.sizeBytes === 0 ? 'partial' : 'present'
}

/** A new, empty container (A2). */
export const createContainerStep = (
  array: ArrayDriver,
  container: ObjectRef,
  sizeBytes: number,
  mark: string,
): Step =>
  deviceStep({
    id: 'create-container',
    title: `Create container ${container.name}`,
    target: arrayTarget(array),
    weight: 0.05,
    action: array.createObject({ ...container, sizeBytes, mark }),
    undo: array.deleteObject(container, mark),
    observe: (signal) => observeObject(array, container, mark, signal, (size) => size === sizeBytes),
  })

export interface LunSteps {
  readonly array: ArrayDriver
  readonly host: HostDriver
  readonly records: InventoryRecords
  readonly lun: LunAddress
  readonly backing: ObjectRef
  readonly osType: OsType
  readonly initiator: string
}

/** File to LUN, mapped to one initiator alone; undone with its map (A3, A4, A9). */
export function mappedLunStep(context: Omit<LunSteps, 'host'>): Step {
  const { array, records, lun, backing, osType, initiator } = context
  const identity = { name: lun.name, target: lun.target, lun: lun.lun, serial: lun.serial, naa: lun.naa }
  const spec: CreateLun = { ...identity, backing, osType }
  return deviceStep({
    id: 'create-lun',
    title: `Make LUN ${lun.name} from ${backing.kind} ${backing.name}, mapped to ${initiator} alone`,
    target: arrayTarget(array),
    weight: 0.05,
    action: array.createLun(spec, initiator),
    undo: array.deleteLun(identity),
    observe: async (signal) => {
      const found = await array.findLun(identity, signal)
      if (found === undefined) return 'absent'
      return found.sizeBytes > 0 && found.mappedTo.includes(initiator) ? 'present' : 'partial'
    },
    recorded: () =>
      records.putLun({ array: array.config.name, identity, backing, osType, initiators: [initiator] }),
    forgotten: () => records.deleteLun(array.config.name, lun.name),
  })
}

type AttachContext = Pick<LunSteps, 'array' | 'host' | 'lun'>

/** The host finds the LUN and brings its block device online (A5). */
export function attachStep({ array, host, lun }: AttachContext): Step {
  return deviceStep({
    id: 'attach',
    title: `Bring LUN ${lun.name} online`,
    target: hostTarget(host),
    weight: 0.2,
    action: host.attachLun(lun, loginOfArray(array.config)),
    undo: host.detachLun(lun),
    observe: async (signal) => ((await host.findAttached(lun, signal)) === undefined ? 'absent' : 'present'),
  })
}

/** The host brings a LUN online that bears a unit, and mounts its file system where it has one. */
export const attachUnitStep = (
  where: AttachContext,
  fileSystem: MountOptions['fileSystem'] | undefined,
): Step => (fileSystem === undefined ? attachStep(where) : attachMountedStep(where, { fileSystem }))

/** The same for a LUN that has a file system, which is mounted: nothing is partitioned or formatted (A10). */
export function attachMountedStep({ array, host, lun }: AttachContext, options: MountOptions): Step {
  return deviceStep({
    id: 'attach',
    title: `Bring LUN ${lun.name} online and mount its ${options.fileSystem} file system`,
    target: hostTarget(host),
    weight: 0.25,
    action: unitFilesOf(host).attachMounted(lun, options, loginOfArray(array.config)),
    undo: inOrder(unitFilesOf(host).unmountUnit(lun), host.detachLun(lun)),
    observe: async (signal) => {
      const found = await host.findAttached(lun, signal)
      if (found === undefined) return 'absent'
      return found.mountedAt === undefined ? 'partial' : 'present'
    },
  })
}

/** Actions one behind the other, as one. */
const inOrder = (...actions: readonly Action<unknown>[]): Action => ({
  commands: actions.flatMap(({ commands }) => commands),
  async run(context) {
    for (const action of actions) await action.run(context)
  },
})

/** Unmount, detach with proof, unmap, destroy: the host's device is gone before the LUN is (A7, A15). */
export function takeOfflineSteps(context: Omit<LunSteps, 'osType'>): Step[] {
  const { host, lun } = context
  const steps: Step[] = []
  if (host.files !== undefined)
    steps.push(
      deviceStep({
        id: 'unmount',
        title: 'Unmount the file system',
        target: hostTarget(host),
        weight: 0.1,
        action: host.files.unmountUnit(lun),
        observe: async (signal) =>
          (await host.findAttached(lun, signal))?.mountedAt === undefined ? 'present' : 'absent',
      }),
    )
  steps.push(
    deviceStep({
      id: 'detach',
      title: `Take LUN ${lun.name} offline and prove that its device is gone`,
      target: hostTarget(host),
      weight: 0.1,
      action: host.detachLun(lun),
      observe: async (signal) =>
        (await host.findAttached(lun, signal)) === undefined ? 'present' : 'absent',
    }),
    ...dropLunSteps(context),
  )
  return steps
}

/** Unmap and destroy; what lies under the LUN stays (A7, A15). */
export function dropLunSteps(context: Omit<LunSteps, 'osType' | 'host'>): Step[] {
  const { array, records, lun, initiator } = context
  const identity = { name: lun.name, target: lun.target, lun: lun.lun, serial: lun.serial, naa: lun.naa }
  return [
    deviceStep({
      id: 'unmap-lun',
      title: `Unmap LUN ${lun.name} from ${initiator}`,
      target: arrayTarget(array),
      weight: 0.03,
      action: array.unmapLun(identity, initiator),
      observe: async (signal) =>
        (await array.findLun(identity, signal))?.mappedTo.includes(initiator) === true ? 'absent' : 'present',
    }),
    deviceStep({
      id: 'destroy-lun',
      title: `Destroy LUN ${lun.name}; the ${context.backing.kind} stays`,
      target: arrayTarget(array),
      weight: 0.05,
      action: array.deleteLun(identity),
      observe: async (signal) =>
        (await array.findLun(identity, signal)) === undefined ? 'present' : 'absent',
      recorded: () => records.deleteLun(array.config.name, lun.name),
    }),
  ]
}

/** Mounts the unit's file system; undone by unmounting. */
export function mountStep(host: HostDriver, lun: LunAddress, options: MountOptions): Step {
  return deviceStep({
    id: 'mount',
    title: `Mount the ${options.fileSystem} file system`,
    target: hostTarget(host),
    weight: 0.05,
    action: unitFilesOf(host).mountUnit(lun, options),
    undo: unitFilesOf(host).unmountUnit(lun),
    observe: async (signal) =>
      (await host.findAttached(lun, signal))?.mountedAt === undefined ? 'absent' : 'present',
  })
}
