import type { ByteProgress } from '#main/drivers/action.ts'
import type { Progress } from '#shared/domain/job.ts'

/** Bytes per second are the mean of this long a time. */
const windowMs = 10_000

export interface ProgressMeter {
  begin(stepId: string): void
  report(bytes: ByteProgress): void
  finish(stepId: string): void
  current(): Progress
}

/**
 * How far a job is: the weights of the finished steps and the share of the running one, by its bytes when it knows
 * their total. The fraction never falls, also when a step is applied a second time. `now` is in milliseconds.
 */
export function createProgressMeter(
  steps: readonly { readonly id: string; readonly weight: number }[],
  now: () => number,
): ProgressMeter {
  const totalWeight = steps.reduce((sum, step) => sum + step.weight, 0)
  const finished = new Set<string>()
  /** The first of them is the one that is told of. */
  let underWay: readonly { readonly id: string; readonly weight: number }[] = []
  let startedAt = 0
  let last: ByteProgress | undefined
  let samples: { readonly at: number; readonly bytes: number }[] = []
  let fraction = 0

  const weightLeft = (): number =>
    steps.reduce(
      (sum, step) => (finished.has(step.id) || underWay.includes(step) ? sum : sum + step.weight),
      0,
    )
  const bytesPerSecond = (): number | undefined => {
    const [first, latest] = [samples[0], samples.at(-1)]
    if (first === undefined || latest === undefined || latest.at <= first.at) return undefined
    return Math.max(0, ((latest.bytes - first.bytes) * 1000) / (latest.at - first.at))
  }
  const runningMsLeft = (rate: number | undefined): number => {
    const [running] = underWay
    if (running === undefined) return 0
    if (last?.totalBytes !== undefined && rate !== undefined && rate > 0)
      return (Math.max(0, last.totalBytes - last.bytes) / rate) * 1000
    return Math.max(0, running.weight * 1000 - (now() - startedAt))
  }

  return {
    begin(stepId) {
      underWay = [...underWay.filter(({ id }) => id !== stepId), ...steps.filter(({ id }) => id === stepId)]
      if (underWay.length > 1) return
      startedAt = now()
      last = undefined
      samples = []
    },
    report(bytes) {
      // Bytes that fall belong to a copy that has begun again: its rate begins again too.
      if (last !== undefined && bytes.bytes < last.bytes) samples = []
      last = bytes
      const at = now()
      samples = [...samples.filter((sample) => at - sample.at <= windowMs), { at, bytes: bytes.bytes }]
    },
    finish(stepId) {
      finished.add(stepId)
      if (underWay[0]?.id === stepId) last = undefined
      underWay = underWay.filter((step) => step.id !== stepId)
    },
    current() {
      const share =
        last?.totalBytes === undefined || last.totalBytes <= 0 ? 0 : Math.min(1, last.bytes / last.totalBytes)
      const [running, ...beside] = underWay
      const pending =
        (running === undefined ? 0 : running.weight * (1 - share)) +
        beside.reduce((sum, step) => sum + step.weight, 0)
      const weight = totalWeight - weightLeft() - pending
      // Sums of fractional weights in another order may differ in their last bits.
      const reached = finished.size === steps.length ? 1 : totalWeight > 0 ? weight / totalWeight : 0
      fraction = Math.min(1, Math.max(fraction, reached))
      const rate = bytesPerSecond()
      return {
        fraction,
        remainingMs: Math.round(runningMsLeft(rate) + weightLeft() * 1000),
        ...(running === undefined ? {} : { stepId: running.id }),
        ...(last === undefined ? {} : { bytes: last.bytes }),
        ...(last?.totalBytes === undefined ? {} : { totalBytes: last.totalBytes }),
        ...(rate === undefined || last === undefined ? {} : { bytesPerSecond: Math.round(rate) }),
      }
    },
  }
}
