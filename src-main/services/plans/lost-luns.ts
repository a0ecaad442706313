import type { Deployment } from '#shared/domain/compute.ts'
import type { LunFacts } from '#shared/domain/storage.ts'
import type { SingleStepPlan } from '#main/jobs/kinds/single-steps.ts'
import type { ServiceContext } from '../context.ts'
import type { PlannedWork } from './planned.ts'

/**
 * tgtd keeps nothing over a restart: what the inventory has and the array has not is made again before anything
 * else is done with that array (hosts then reconnect by themselves).
 */
export function restoreLostLuns(
  context: ServiceContext,
  array: string,
  present: readonly LunFacts[],
): PlannedWork[] {
  if (context.devices.array(array).restoreLuns === undefined) return []
  const serials = new Set(present.map(({ serial }) => serial))
  const lost = context.store.luns.list(array).filter(({ identity }) => !serials.has(identity.serial))
  if (lost.length === 0) return []
  const plan: SingleStepPlan = { step: 'restore-luns', array, luns: [...lost] }
  return [
    {
      kind: 'single-step',
      plan,
      warnings: [
        `Array ${array} has lost ${lost.length} LUN(s) that Gantry made (its target daemon was restarted); they are made again first.`,
      ],
      bytesToMove: 0,
    },
  ]
}

/** As {@link restoreLostLuns}, of all arrays that these deployments lie on. */
export async function restoreLostLunsOf(
  context: ServiceContext,
  deployments: readonly Deployment[],
  signal: AbortSignal,
): Promise<PlannedWork[]> {
  const arrays = new Set(deployments.map(({ container }) => container.array))
  const lost = await Promise.all(
    [...arrays].map(async (name) =>
      restoreLostLuns(context, name, await context.devices.array(name).listLuns(signal)),
    ),
  )
  return lost.flat()
}
