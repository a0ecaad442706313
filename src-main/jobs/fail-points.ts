import { AppError } from '#shared/errors/app-error.ts'
import type { Step } from './step.ts'

/**
 * Where a step can be made to die: its intent is committed, nothing sent; it is applied, nothing committed; its result
 * is committed; its undo is committed as begun; it is undone, nothing committed.
 */
export const failPoints = ['after-intent', 'after-apply', 'after-done', 'before-undo', 'after-undo'] as const
/** Of a resumed job: before and after what is there in part is taken away, so that the step can be applied again. */
export const clearPoints = ['before-clear', 'after-clear'] as const
export type FailPoint = (typeof failPoints)[number] | (typeof clearPoints)[number]

/** The runner calls these at every point; outside of tests they do nothing. */
export interface FailPoints {
  readonly hit: (kind: string, stepId: string, point: FailPoint) => void
  /** After apply returned: throws when the step is to fail although it has done its work. */
  readonly failStep: (kind: string, stepId: string) => void
}

/**
 * Fail points of the environment. GANTRY_FAIL_AT="kind/step/point": the process kills itself there with SIGKILL.
 * GANTRY_FAIL_STEP="kind/step": this step throws device-rejected after it was applied, so that the job undoes itself.
 * GANTRY_STOP_AT="kind/step/point": the process stops there with SIGSTOP until somebody has made a fault and sends SIGCONT.
 */
export function readFailPoints(env: Readonly<Record<string, string | undefined>>): FailPoints {
  const killAt = env['GANTRY_FAIL_AT']
  const stopAt = env['GANTRY_STOP_AT']
  const failIn = env['GANTRY_FAIL_STEP']
  return {
    hit(kind, stepId, point) {
      if (stopAt === `${kind}/${stepId}/${point}`) process.kill(process.pid, 'SIGSTOP')
      if (killAt === `${kind}/${stepId}/${point}`) killSelf()
    },
    failStep(kind, stepId) {
      if (failIn === `${kind}/${stepId}`)
        throw new AppError('device-rejected', 'Made to fail by a fail point', {
          object: `step ${stepId}`,
          effect: 'done',
        })
    },
  }
}

/** The settings that make a job of this kind die once at each of its points, for the crash matrix. */
export function listFailPoints(
  kind: string,
  steps: readonly Step[],
): { readonly name: string; readonly env: Readonly<Record<string, string>> }[] {
  const last = steps.at(-1)
  return steps.flatMap((step) =>
    failPoints.flatMap((point) => {
      const name = `${kind}/${step.id}/${point}`
      if (!point.endsWith('undo')) return [{ name, env: { GANTRY_FAIL_AT: name } }]
      // A step that changes nothing has no undo; for the others the last step fails, so that all are undone.
      if (last === undefined || step.undo === undefined) return []
      return [{ name, env: { GANTRY_FAIL_AT: name, GANTRY_FAIL_STEP: `${kind}/${last.id}` } }]
    }),
  )
}

function killSelf(): never {
  process.kill(process.pid, 'SIGKILL')
  // The signal may reach another thread first; nothing more may happen here.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}
