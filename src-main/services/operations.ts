import type { ContractHandlers } from '#shared/contract/index.ts'
import type { Operation, PlannedJob } from '#shared/contract/operations.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { ServiceContext } from './context.ts'
import { planDecommission } from './plans/plan-decommission.ts'
import { planDeploy } from './plans/plan-deploy.ts'
import { planExport } from './plans/plan-export.ts'
import { planRestore } from './plans/plan-restore.ts'
import { planSingleStep } from './plans/plan-single-step.ts'
import { planStage } from './plans/plan-stage.ts'
import { planStageDisks } from './plans/plan-stage-disks.ts'
import { planUnitWork } from './plans/plan-unit-work.ts'
import type { PlannedWork } from './plans/planned.ts'

const planTimeoutMs = 120_000

type OperationHandlers = Pick<ContractHandlers, 'operations.plan' | 'operations.start'>

/** Plans and starts operations: one operation is one job or several that run side by side. */
export function createOperations(context: ServiceContext): OperationHandlers {
  return {
    'operations.plan': async (operation) =>
      (await work(context, operation)).map((item) => preview(context, item)),
    'operations.start': async (operation) => {
      const planned = await work(context, operation)
      const begin = ({ kind, plan }: PlannedWork): string => context.jobs.start(kind, plan).jobId
      const restores = planned.filter(isRestore).map(begin)
      for (const jobId of restores) await requireDone(context, jobId)
      return {
        jobIds: [...restores, ...planned.filter((item) => !isRestore(item)).map(begin)],
        warnings: [...new Set(planned.flatMap(({ warnings }) => warnings))],
      }
    },
  }
}

/** Everything else on the array waits until its LUNs are back. */
const isRestore = ({ kind, plan }: PlannedWork): boolean =>
  kind === 'single-step' && (plan as { step?: string }).step === 'restore-luns'

async function requireDone(context: ServiceContext, jobId: string): Promise<void> {
  const { state } = await context.jobs.wait(jobId)
  if (state !== 'done')
    throw new AppError('device-rejected', 'The LUNs that the array has lost could not be made again', {
      facts: { job: jobId },
      advice: `gantry jobs show ${jobId} tells why. Nothing else was started.`,
    })
}

function work(context: ServiceContext, operation: Operation): Promise<PlannedWork[]> {
  const signal = AbortSignal.timeout(planTimeoutMs)
  if ('device' in operation) return planUnitWork(context, operation, signal)
  switch (operation.kind) {
    case 'stage':
      return planStage(context, operation, signal)
    case 'stage-disks':
      return planStageDisks(context, operation, signal)
    case 'deploy':
      return planDeploy(context, operation, signal)
    case 'decommission':
      return planDecommission(context, operation, signal)
    case 'export':
      return planExport(context, operation, signal)
    case 'restore-deployments':
      return planRestore(context, operation, signal)
    default:
      return planSingleStep(context, operation, signal)
  }
}

function preview(context: ServiceContext, item: PlannedWork): PlannedJob {
  const { title, steps } = context.jobs.plan(item.kind, item.plan)
  const { warnings, bytesToMove, breaksLock } = item
  const breaks = breaksLock === undefined ? {} : { breaksLock }
  return { title, steps, warnings: [...warnings], bytesToMove, ...breaks }
}
