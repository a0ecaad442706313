import { access, link, rename, rm } from 'node:fs/promises'
import type { UnitDevice } from '#shared/domain/unit-device.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { nameOfDevice } from '#main/units/devices.ts'
import { applyUnitRepair } from '#main/units/repair-unit.ts'
import { exportDisk } from '#main/units/unit-disks.ts'
import { eraseUnit } from '#main/units/write-unit.ts'
import type { JobKind, Step } from '../step.ts'
import {
  bulk,
  onDevice,
  verifyStep,
  weightOf,
  writeStep,
  type PlannedDisk,
  type PlannedWrite,
  type UnitWorkParts,
} from './unit-steps.ts'

/** Work of the console alone on one unit. */
export type UnitWorkPlan = { readonly device: UnitDevice } & (
  | { readonly work: 'verify'; readonly disks: readonly PlannedDisk[] }
  | { readonly work: 'export'; readonly disk: PlannedDisk; readonly path: string }
  | { readonly work: 'repair'; readonly digest: string; readonly writes: readonly string[] }
  | ({ readonly work: 'write'; readonly secondaries?: readonly PlannedWrite[] } & PlannedWrite)
)
type PlanOf<Work extends UnitWorkPlan['work']> = Extract<UnitWorkPlan, { work: Work }>

export const unitWorkKind = (parts: UnitWorkParts): JobKind<UnitWorkPlan> => ({
  name: 'unit-work',
  // Nothing that was half done is taken for whole: each begins anew in a moment.
  afterRestart: 'undo',
  onFailure: 'undo',
  title: titleOf,
  resources: (plan) => unitsOf(plan).map(({ device }) => `unit/${nameOfDevice(device)}`),
  steps: (plan, jobId) => stepsOf(parts, plan, jobId),
})

/** The base unit last: what it names is there. */
const unitsOf = (plan: UnitWorkPlan): readonly Pick<UnitWorkPlan, 'device'>[] =>
  plan.work === 'write' ? writesOf(plan) : [plan]
const writesOf = (plan: PlanOf<'write'>): readonly PlannedWrite[] => [...(plan.secondaries ?? []), plan]

function titleOf(plan: UnitWorkPlan): string {
  const where = nameOfDevice(plan.device)
  switch (plan.work) {
    case 'verify':
      return `Verify the unit on ${where}`
    case 'export':
      return `Export disk ${plan.disk.index} of ${where}`
    case 'repair':
      return `Repair the unit on ${where}`
    case 'write':
      return `Write VM ${plan.header.vm.name} to ${where}`
  }
}

function stepsOf(parts: UnitWorkParts, plan: UnitWorkPlan, jobId: string): Step[] {
  switch (plan.work) {
    case 'verify':
      return plan.disks.map((disk) => verifyStep(parts, plan.device, disk))
    case 'export':
      return [exportStep(parts, plan, jobId)]
    case 'repair':
      return [repairStep(parts, plan)]
    case 'write':
      return [
        ...writesOf(plan).map((write) => erasableWriteStep(parts, write)),
        ...writesOf(plan).flatMap(({ device, images }) =>
          images.map((disk) => verifyStep(parts, device, disk)),
        ),
      ]
  }
}

/** A file of another name until it is whole; never over one that is there. */
function exportStep(parts: UnitWorkParts, plan: PlanOf<'export'>, jobId: string): Step {
  const { disk, path, device: where } = plan
  const part = `${path}.${jobId}.part`
  return {
    id: 'export',
    title: `Read disk ${disk.index}, ${formatBytes(disk.sizeBytes)}, into ${path}`,
    target: nameOfDevice(where),
    weight: weightOf(disk),
    commands: [`read ${disk.sizeBytes} bytes of disk ${disk.index} into ${path}`],
    undoCommands: [`remove ${part}`],
    observe: () => Promise.resolve('partial'),
    apply: (context) =>
      onDevice(parts, where, 'read', context.signal, async (device) => {
        const { sha256, isAsWritten } = await exportDisk(device, disk.index, part, bulk(context))
        await publish(part, path)
        context.log(`SHA-256 ${sha256}${asWritten(isAsWritten)}`)
      }),
    undo: () => rm(part, { force: true }),
  }
}

function asWritten(isAsWritten: boolean | undefined): string {
  if (isAsWritten === undefined) return '; the header has no checksum to compare it with'
  return isAsWritten ? ', as it was written' : '; the disk has changed since it was written'
}

/** `link` does not replace what is there; file systems without it are asked first. */
async function publish(part: string, path: string): Promise<void> {
  try {
    await link(part, path)
    await rm(part)
  } catch (error) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    )
    if (isThere)
      throw new AppError('busy', `"${path}" is there already`, {
        object: path,
        advice: 'Choose another name: nothing is written over.',
        cause: error,
      })
    await rename(part, path)
  }
}

function repairStep(parts: UnitWorkParts, { device: where, digest, writes }: PlanOf<'repair'>): Step {
  return {
    id: 'repair',
    title: 'Make the damaged copies again from those that verify',
    target: nameOfDevice(where),
    weight: 1,
    commands: [...writes],
    undoCommands: [],
    observe: () => Promise.resolve('absent'),
    apply: ({ signal }) =>
      onDevice(parts, where, 'write', signal, (device) => applyUnitRepair(device, digest, signal)),
  }
}

/** A device that is not the console's own is given back as it was found. */
function erasableWriteStep(parts: UnitWorkParts, plan: PlannedWrite): Step {
  const { device: where, header } = plan
  return {
    ...writeStep(parts, plan),
    undoCommands: [`write zeros to both ends of the device if they bear unit ${header.unitId}`],
    undo: ({ signal }) =>
      onDevice(parts, where, 'write', signal, (device) => eraseUnit(device, header.unitId, signal)),
  }
}
