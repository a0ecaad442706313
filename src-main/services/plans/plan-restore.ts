import type { OperationOf } from '#shared/contract/operations.ts'
import type { Deployment } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { RestorePlan } from '#main/jobs/kinds/restore.ts'
import type { ServiceContext } from '../context.ts'
import { restoreLostLunsOf } from './lost-luns.ts'
import type { PlannedWork } from './planned.ts'
import { brokenBy, lockToBreak, planLock } from './planned-lock.ts'

type Input = OperationOf<'restore-deployments'>

/** One job for each deployment that lacks something on its host; those that lack nothing have none. */
export async function planRestore(
  context: ServiceContext,
  input: Input,
  signal: AbortSignal,
): Promise<PlannedWork[]> {
  const deployments = chosen(context, input)
  const restores = await restoreLostLunsOf(context, deployments, signal)
  const plans = await Promise.all(
    deployments.map((deployment) => planOne(context, deployment, input, signal)),
  )
  const lacking = plans.filter(
    ({ attach, mount, define, start }) => attach || mount || define !== undefined || start,
  )
  const works = lacking.map((plan) => ({
    kind: 'restore',
    plan,
    warnings: [],
    bytesToMove: 0,
    ...brokenBy(plan.lock),
  }))
  return [...restores, ...works]
}

function chosen({ store }: ServiceContext, { host, deployments }: Input): Deployment[] {
  if (deployments.length > 0) {
    const named = [...new Set(deployments)].map((name) => store.deployments.get(name))
    return host === undefined ? named : named.filter((deployment) => deployment.host === host)
  }
  if (host === undefined)
    throw new AppError('bad-request', 'It is not clear which deployments are to be restored', {
      advice: 'Name them, or their host (--host).',
    })
  store.hosts.get(host)
  return store.deployments.listByHost(host)
}

async function planOne(
  context: ServiceContext,
  deployment: Deployment,
  { start, breakLock }: Input,
  signal: AbortSignal,
): Promise<RestorePlan> {
  const recipe = context.store.deployments.recipeOf(deployment.name)
  if (recipe === undefined) throw withoutRecipe(deployment)
  const host = context.devices.host(deployment.host)
  const [attached, vm] = await Promise.all([
    host.findAttached(deployment.lun, signal),
    host.findVm(deployment.vm.uuid, signal),
  ])
  const wanted = start === 'all' || (start === 'deployed' && recipe.started)
  const isStarting = wanted && vm?.state !== 'running' && vm?.state !== 'paused'
  const lockOwner = isStarting ? host.disks?.lockOwner?.(deployment.vm) : undefined
  const array = context.devices.array(deployment.container.array)
  const lock =
    lockOwner === undefined
      ? undefined
      : planLock(lockOwner, await lockToBreak(array, deployment.backing, breakLock, signal))
  return {
    deployment,
    ...(recipe.fileSystem === undefined ? {} : { fileSystem: recipe.fileSystem }),
    attach: attached === undefined || attached.partial === true,
    mount: recipe.fileSystem !== undefined && attached?.mountedAt === undefined,
    ...(vm === undefined ? { define: recipe.vm } : {}),
    ...(lock === undefined ? {} : { lock }),
    start: isStarting,
  }
}

const withoutRecipe = ({ name, host }: Deployment): AppError =>
  new AppError('not-supported', 'An older Gantry deployed it and kept nothing to restore it from', {
    object: `deployment ${name} on host ${host}`,
    advice: 'Decommission it and deploy it again, or leave it out.',
  })
