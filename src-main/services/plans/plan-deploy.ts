import { randomUUID } from 'node:crypto'
import type { OperationOf } from '#shared/contract/operations.ts'
import { portalOnHost } from '#shared/domain/compute.ts'
import type { ObjectRef } from '#shared/domain/storage.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import type { HostDriver } from '#main/drivers/hosts/contract.ts'
import type { DeployPlan } from '#main/jobs/kinds/deploy.ts'
import type { Unit } from '#main/protocols/unit/unit.ts'
import type { TakenLock } from '#main/units/unit-lock.ts'
import { factsOfHost, now, type ServiceContext } from '../context.ts'
import { headerForDeployment, readUnit } from '../read-unit.ts'
import { restoreLostLuns } from './lost-luns.ts'
import { onUnit } from './on-unit.ts'
import { expandNames } from './names.ts'
import type { PlannedWork } from './planned.ts'
import { brokenBy, lockToBreak } from './planned-lock.ts'
import { containerOf, lunNumbersOf, requireLunNumbers, volumeOf } from './volume-checks.ts'

type Input = OperationOf<'deploy'>

/** One job for each deployment: the names, LUN identities, UUIDs and MAC addresses are chosen here (A9-A14, A17). */
export async function planDeploy(
  context: ServiceContext,
  input: Input,
  signal: AbortSignal,
): Promise<PlannedWork[]> {
  const array = context.devices.array(input.array)
  const host = context.devices.host(input.host)
  const container = containerOf(input)
  const [{ sizeBytes, unit }, luns, vmNames, facts] = await Promise.all([
    readUnit(array, container, signal),
    array.listLuns(signal),
    host.listVmNames(signal),
    factsOfHost(context, input.host, signal),
  ])
  const header = headerForDeployment(unit, container)
  requireSameOsType(header, host, facts.osType, input)
  if (input.direct && input.count > 1)
    throw new AppError('bad-request', 'A container can be deployed directly only once', {
      object: `container ${input.container}`,
      advice: 'Leave --direct out: clones of a snapshot can be deployed many times.',
    })
  requireLunNumbers(lunNumbersOf(array.config, input.volume, luns), input.count)
  const taken = new Set([
    ...context.store.deployments.list().map(({ name }) => name),
    ...vmNames,
    ...luns.map(({ name }) => name),
    ...context.store.luns.list(input.array).map(({ identity }) => identity.name),
  ])
  const fullCopy = input.direct ? undefined : await fullCopyOf(context, array, container, input.count, signal)
  const seen = input.direct ? await lockToBreak(array, container, input.breakLock, signal) : undefined
  const { initiatorName: initiator } = facts
  const choices = { input, container, unit, header, sizeBytes, initiator, fullCopy, seen }
  const plans = expandNames(input.namePattern, input.count, taken).map((name) =>
    deployPlan(array, host, name, choices),
  )
  return [
    ...restoreLostLuns(context, input.array, luns),
    ...plans.map((plan) => ({
      kind: 'deploy',
      plan,
      ...(plan.start ? brokenBy(plan.lock) : {}),
      warnings: [
        ...unit.problems.map((problem) => `Container ${input.container}: ${problem}.`),
        ...(input.direct ? [directWarning] : []),
        ...(fullCopy === undefined ? [] : [fullCopyWarning(input, fullCopy.bytes)]),
      ],
      bytesToMove: fullCopy?.bytes ?? 0,
    })),
  ]
}

const directWarning =
  'Deployed directly: the VM writes into the container itself, which is then no longer what was staged.'

/** B19: what the array does in place of a clone, and what it costs. */
const fullCopyWarning = ({ volume, count }: Input, bytes: number): string =>
  `Volume ${volume} cannot share blocks between files: each deployment is a full copy of ${formatBytes(bytes)}` +
  `${count === 1 ? '' : `, ${formatBytes(count * bytes)} in all`}, and takes as long as the disk needs for it.`

/** undefined: the volume shares blocks, or the array has nothing else to offer. Refuses what does not fit. */
async function fullCopyOf(
  context: ServiceContext,
  array: ArrayDriver,
  container: ObjectRef,
  count: number,
  signal: AbortSignal,
): Promise<{ bytes: number } | undefined> {
  if (array.copyObject === undefined) return undefined
  const volumes = await array.listVolumes(signal)
  context.store.volumes.replaceAll(array.config.name, volumes)
  const { canReflink, freeBytes } = volumeOf(volumes, container.volume, array.config.name)
  if (canReflink) return undefined
  const bytes = (await array.findObject(container, signal))?.allocatedBytes ?? 0
  if (bytes * count > freeBytes)
    throw new AppError('bad-request', `The volume has no room for ${count} full copies of the container`, {
      object: `volume ${array.config.name}/${container.volume}`,
      facts: { needed: formatBytes(bytes * count), free: formatBytes(freeBytes) },
      advice:
        'Deploy fewer, make room, or use a volume that can share blocks (XFS with reflink=1, Btrfs, APFS).',
    })
  return { bytes }
}

interface Choices {
  readonly input: Input
  readonly container: ObjectRef
  readonly unit: Unit
  readonly header: UnitHeader
  readonly sizeBytes: number
  readonly initiator: string
  readonly fullCopy: { readonly bytes: number } | undefined
  readonly seen: TakenLock | undefined
}

function deployPlan(array: ArrayDriver, host: HostDriver, name: string, choices: Choices): DeployPlan {
  const { input, container, header } = choices
  const lun = array.addressOf(array.newIdentity(name), portalOnHost(host.config, input.array))
  const { volume } = container
  const uuid = randomUUID()
  return {
    array: input.array,
    host: input.host,
    name,
    container: { ...container, unitId: header.unitId, sizeBytes: choices.sizeBytes },
    ...(input.direct
      ? {}
      : {
          copies: {
            ...(choices.fullCopy === undefined ? { snapshot: { volume, kind: 'snapshot', name } } : {}),
            clone: { volume, kind: 'clone', name },
          },
        }),
    lun,
    initiator: choices.initiator,
    osType: header.osType,
    ...onUnit(host, {
      ...choices,
      name,
      uuid,
      lun,
    }),
    start: input.start,
    ...(input.wait === undefined
      ? {}
      : { wait: { sign: signOf(input.wait, name, uuid), timeoutMs: input.waitTimeoutMs } }),
    deployedAt: now(),
  }
}

/** Each guest says its own name: the text may hold it. */
const signOf = (sign: NonNullable<Input['wait']>, name: string, uuid: string): NonNullable<Input['wait']> =>
  sign.kind === 'serial'
    ? { ...sign, text: sign.text.replaceAll('{name}', name).replaceAll('{uuid}', uuid) }
    : sign

/** A13. */
function requireSameOsType(header: UnitHeader, host: HostDriver, hostOsType: string, input: Input): void {
  if (header.osType === hostOsType) return
  throw new AppError(
    'bad-request',
    `The container was staged for hosts of type ${header.osType}, and this host is ${hostOsType}`,
    {
      object: `container ${input.container}, host ${host.config.name}`,
      advice: `Deploy it on a ${header.osType} host, or stage the template again with --os ${hostOsType}.`,
    },
  )
}
