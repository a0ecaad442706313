import type { OperationOf } from '#shared/contract/operations.ts'
import type { Deployment } from '#shared/domain/compute.ts'
import type { DecommissionPlan } from '#main/jobs/kinds/decommission.ts'
import type { ServiceContext } from '../context.ts'
import { restoreLostLunsOf } from './lost-luns.ts'
import type { PlannedWork } from './planned.ts'

/** A15. The marks of clone and snapshot are read from the array: only what a job of ours made is deleted. */
export async function planDecommission(
  context: ServiceContext,
  input: OperationOf<'decommission'>,
  signal: AbortSignal,
): Promise<PlannedWork[]> {
  const deployments = [...new Set(input.deployments)].map((name) => context.store.deployments.get(name))
  const restores = await restoreLostLunsOf(context, deployments, signal)
  const jobs = await Promise.all(
    deployments.map(async (deployment): Promise<PlannedWork> => {
      const plan: DecommissionPlan = {
        deployment,
        copies: await copiesOf(context, deployment, signal),
        ...unlockOf(context, deployment),
      }
      return { kind: 'decommission', plan, warnings: [], bytesToMove: 0 }
    }),
  )
  return [...restores, ...jobs]
}

/** B13: a clone is deleted with its lock. */
function unlockOf({ devices }: ServiceContext, deployment: Deployment): Pick<DecommissionPlan, 'unlock'> {
  if (deployment.backing.kind !== 'container') return {}
  const unlock = devices.host(deployment.host).disks?.lockOwner?.(deployment.vm)
  return unlock === undefined ? {} : { unlock }
}

async function copiesOf(
  context: ServiceContext,
  { backing, snapshot, container }: Deployment,
  signal: AbortSignal,
): Promise<DecommissionPlan['copies']> {
  const array = context.devices.array(container.array)
  const refs = backing.kind === 'container' ? [] : [backing, ...(snapshot === undefined ? [] : [snapshot])]
  const found = await Promise.all(
    refs.map(async (ref) => ({ ref, facts: await array.findObject(ref, signal) })),
  )
  return found.flatMap(({ ref, facts }) => (facts?.mark === undefined ? [] : [{ ref, mark: facts.mark }]))
}
