import type { Action } from '#main/drivers/action.ts'
import type { Json, Observation, Step, StepContext } from '../step.ts'

interface DeviceStep<T> {
  readonly id: string
  readonly title: string
  readonly target: string
  readonly weight: number
  readonly action: Action<T>
  readonly undo?: Action<unknown>
  observe(signal: AbortSignal): Promise<Observation>
  /** What later steps need of the outcome. */
  result?(value: T): Json
  /** Called when the action has succeeded, before the journal says so: the inventory's copy of the effect. */
  recorded?(value: T): void
  /** Called when the effect has been undone. */
  forgotten?(): void
}

/** A step that is one action of a driver. */
export function deviceStep<T>(spec: DeviceStep<T>): Step {
  const { undo } = spec
  const step: Step = {
    id: spec.id,
    title: spec.title,
    target: spec.target,
    weight: spec.weight,
    commands: [...spec.action.commands],
    undoCommands: undo === undefined ? [] : [...undo.commands],
    async apply(context: StepContext) {
      const value = await spec.action.run({
        signal: context.signal,
        report: (progress) => context.report(progress),
      })
      spec.recorded?.(value)
      return spec.result?.(value)
    },
    observe: (context) => spec.observe(context.signal),
  }
  if (undo !== undefined)
    step.undo = async (context) => {
      await undo.run({ signal: context.signal })
      spec.forgotten?.()
    }
  return step
}

/** A step that only writes to the console's own inventory. */
export function recordStep(id: string, title: string, record: () => void, forget?: () => void): Step {
  const step: Step = {
    id,
    title,
    target: 'console',
    weight: 0.01,
    commands: [],
    undoCommands: [],
    apply: async () => record(),
    observe: async () => 'absent',
  }
  if (forget !== undefined) step.undo = async () => forget()
  return step
}
