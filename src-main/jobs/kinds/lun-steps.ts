import type { LunAddress, LunIdentity, ObjectRef, OsType } from '#shared/domain/storage.ts'
import type { ArrayDriver, CopyObject, CreateLun } from '#main/drivers/arrays/contract.ts'
import type { HostDriver } from '#main/drivers/hosts/contract.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { Observation, Step } from '../step.ts'
import { deviceStep } from './device-step.ts'
import type { InventoryRecords, LunRecord } from './records.ts'

export const arrayTarget = (array: ArrayDriver): string => `array ${array.config.name}`
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

/** Snapshot or clone of an object (A12). */
export function copyObjectStep(
  array: ArrayDriver,
  spec: CopyObject,
  kind: 'snapshot' | 'clone',
  sizeBytes: number,
): Step {
  const make = kind === 'snapshot' ? array.snapshotObject : array.cloneObject
  if (make === undefined)
    throw new AppError('not-supported', `This array cannot make a ${kind}`, {
      object: arrayTarget(array),
      advice: 'Deploy the container directly (--direct): the VM then writes into the container itself.',
    })
  return deviceStep({
    id: kind,
    title:
      kind === 'snapshot'
        ? `Snapshot container ${spec.from.name}`
        : `Clone ${spec.to.name} from the snapshot`,
    target: arrayTarget(array),
    weight: 0.05,
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

export interface LunSteps {
  readonly array: ArrayDriver
  readonly host: HostDriver
  readonly records: InventoryRecords
  readonly lun: LunAddress
  readonly backing: ObjectRef
  readonly osType: OsType
  readonly initiator: string
}

/** File to LUN, mapped to one initiator, attached to its host: each with its undoing (A3, A4, A9, A10). */
export function bringOnlineSteps(context: LunSteps): Step[] {
  const { array, host, records, lun, backing, osType, initiator } = context
  const identity = { name: lun.name, target: lun.target, lun: lun.lun, serial: lun.serial, naa: lun.naa }
  const spec: CreateLun = { ...identity, backing, osType }
  const record = (initiators: string[]): LunRecord => ({
    array: array.config.name,
    identity,
    backing,
    osType,
    initiators,
  })
  return [
    deviceStep({
      id: 'create-lun',
      title: `Make LUN ${lun.name} from ${backing.kind} ${backing.name}`,
      target: arrayTarget(array),
      weight: 0.05,
      action: array.createLun(spec),
      undo: array.deleteLun(identity),
      observe: (signal) => observeLun(array, identity, signal),
      recorded: () => records.putLun(record([])),
      forgotten: () => records.deleteLun(array.config.name, lun.name),
    }),
    deviceStep({
      id: 'map-lun',
      title: `Map LUN ${lun.name} to ${initiator} alone`,
      target: arrayTarget(array),
      weight: 0.03,
      action: array.mapLun(identity, initiator),
      undo: array.unmapLun(identity, initiator),
      observe: async (signal) => {
        const found = await array.findLun(identity, signal)
        return found?.mappedTo.includes(initiator) === true ? 'present' : 'absent'
      },
      recorded: () => records.putLun(record([initiator])),
    }),
    deviceStep({
      id: 'attach',
      title: `Bring LUN ${lun.name} online`,
      target: hostTarget(host),
      weight: 0.2,
      action: host.attachLun(lun),
      undo: host.detachLun(lun),
      observe: async (signal) => {
        const found = await host.findAttached(lun, signal)
        if (found === undefined) return 'absent'
        return found.partial === true ? 'partial' : 'present'
      },
    }),
  ]
}

/** Unmount, detach with proof, unmap, destroy: the host's device is gone before the LUN is (A7, A15). */
export function takeOfflineSteps(context: Omit<LunSteps, 'osType'>): Step[] {
  const { array, host, records, lun, initiator } = context
  const identity = { name: lun.name, target: lun.target, lun: lun.lun, serial: lun.serial, naa: lun.naa }
  return [
    deviceStep({
      id: 'unmount',
      title: 'Unmount the file system',
      target: hostTarget(host),
      weight: 0.1,
      action: host.unmountUnit(lun),
      observe: async (signal) =>
        (await host.findAttached(lun, signal))?.mountedAt === undefined ? 'present' : 'absent',
    }),
    deviceStep({
      id: 'detach',
      title: `Take LUN ${lun.name} offline and prove that its device is gone`,
      target: hostTarget(host),
      weight: 0.1,
      action: host.detachLun(lun),
      observe: async (signal) =>
        (await host.findAttached(lun, signal)) === undefined ? 'present' : 'absent',
    }),
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
export function mountStep(
  host: HostDriver,
  lun: LunAddress,
  options: Parameters<HostDriver['mountUnit']>[1],
): Step {
  return deviceStep({
    id: 'mount',
    title: `Mount the ${options.fileSystem} file system`,
    target: hostTarget(host),
    weight: 0.05,
    action: host.mountUnit(lun, options),
    undo: host.unmountUnit(lun),
    observe: async (signal) =>
      (await host.findAttached(lun, signal))?.mountedAt === undefined ? 'absent' : 'present',
  })
}
