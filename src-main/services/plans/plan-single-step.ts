import type { SingleStep } from '#shared/contract/operations.ts'
import type { LunIdentity, ObjectRef } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { roundUp } from '#shared/units/bytes.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import type { SingleStepPlan } from '#main/jobs/kinds/single-steps.ts'
import type { ServiceContext } from '../context.ts'
import { restoreLostLuns } from './lost-luns.ts'
import type { PlannedWork } from './planned.ts'
import { containerOf, requireFreeName, requireLunNumbers, volumeOf } from './volume-checks.ts'

/** A18: each step of staging and deployment by itself. */
export async function planSingleStep(
  context: ServiceContext,
  input: SingleStep,
  signal: AbortSignal,
): Promise<PlannedWork[]> {
  const array = context.devices.array(input.array)
  if (input.kind === 'restore-luns')
    return restoreLostLuns(context, input.array, await array.listLuns(signal))
  const { plan, warnings = [] } = await planOf(context, array, input, signal)
  return [{ kind: 'single-step', plan, warnings, bytesToMove: 0 }]
}

async function planOf(
  context: ServiceContext,
  array: ArrayDriver,
  input: Exclude<SingleStep, { kind: 'restore-luns' }>,
  signal: AbortSignal,
): Promise<{ plan: SingleStepPlan; warnings?: string[] }> {
  switch (input.kind) {
    case 'create-container': {
      const object = containerOf(input)
      requireFreeName(input, await array.findObject(object, signal))
      return {
        plan: {
          step: input.kind,
          array: input.array,
          object,
          sizeBytes: roundUp(input.sizeBytes, array.alignmentBytes),
        },
      }
    }
    case 'delete-container':
      return planDelete(context, array, input, signal)
    case 'create-lun': {
      const [volumes, luns] = await Promise.all([array.listVolumes(signal), array.listLuns(signal)])
      requireLunNumbers(volumeOf(volumes, input.volume, input.array), 1)
      if (
        context.store.luns.find(input.array, input.lun) !== undefined ||
        luns.some(({ name, ours }) => ours && name === input.lun)
      )
        throw new AppError('bad-request', `There is a LUN named "${input.lun}" already`, {
          object: `array ${input.array}`,
        })
      const backing: ObjectRef = { volume: input.volume, ...input.object }
      return {
        plan: {
          step: input.kind,
          array: input.array,
          lun: { ...array.newIdentity(input.lun), backing, osType: input.osType },
        },
      }
    }
    case 'map-lun':
    case 'unmap-lun':
      return {
        plan: {
          step: input.kind,
          array: input.array,
          identity: await getLun(context, array, input.lun, signal),
          initiator: input.initiator,
        },
      }
    case 'destroy-lun':
      return {
        plan: {
          step: input.kind,
          array: input.array,
          identity: await getLun(context, array, input.lun, signal),
        },
      }
  }
}

async function planDelete(
  context: ServiceContext,
  array: ArrayDriver,
  input: Extract<SingleStep, { kind: 'delete-container' }>,
  signal: AbortSignal,
): Promise<{ plan: SingleStepPlan; warnings: string[] }> {
  const object = containerOf(input)
  const facts = await array.findObject(object, signal)
  const where = { object: `container ${input.array}/${input.volume}/${input.container}` }
  if (facts === undefined) throw new AppError('not-found', 'There is no such container', where)
  if (facts.mark === undefined)
    throw new AppError('bad-request', 'This file was not made by Gantry and is left alone', {
      ...where,
      advice: 'Delete it on the array itself if it is really to go.',
    })
  const from = context.store.deployments
    .list()
    .filter(
      ({ container }) =>
        container.array === input.array &&
        container.volume === input.volume &&
        container.name === input.container,
    )
  const warnings =
    from.length === 0
      ? []
      : [
          `${from.length} deployment(s) came from it and stay as they are: ${from.map(({ name }) => name).join(', ')}.`,
        ]
  return { plan: { step: 'delete-container', array: input.array, object, mark: facts.mark }, warnings }
}

/** By the inventory's name first: an array may show the name of a LUN only in part. */
async function getLun(
  context: ServiceContext,
  array: ArrayDriver,
  name: string,
  signal: AbortSignal,
): Promise<LunIdentity> {
  const known = context.store.luns.find(array.config.name, name)
  if (known !== undefined) return known.identity
  const found = (await array.listLuns(signal)).filter((lun) => lun.ours && lun.name === name)
  const [lun] = found
  if (lun === undefined)
    throw new AppError('not-found', `There is no LUN "${name}" that Gantry made`, {
      object: `array ${array.config.name}`,
      advice: 'gantry lun list shows the LUNs; Gantry changes only its own.',
    })
  if (found.length > 1)
    throw new AppError('bad-request', `"${name}" is the name of ${found.length} LUNs`, {
      object: `array ${array.config.name}`,
    })
  return { name: lun.name, target: lun.target, lun: lun.lun, serial: lun.serial, naa: lun.naa }
}
