/** One figure of a benchmark: the median of the runs with their range. Ratios have the unit "ratio". */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly runs: number
  readonly min: number
  readonly max: number
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

const round = (value: number): number => Number(value.toPrecision(4))

export function figure(name: string, unit: string, values: readonly number[]): Figure {
  return {
    name,
    value: round(median(values)),
    unit,
    runs: values.length,
    min: round(Math.min(...values)),
    max: round(Math.max(...values)),
  }
}

/** Pair by pair, so that the drift of a shared machine cancels out. */
export function ratios(name: string, numerators: readonly number[], denominators: readonly number[]): Figure {
  return figure(
    name,
    'ratio',
    numerators.map((value, index) => value / (denominators[index] ?? Number.NaN)),
  )
}

export const print = (item: Figure): void => void process.stdout.write(`${JSON.stringify(item)}\n`)

export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}

const wanted = process.argv.slice(2)
/** Whether the figures whose names begin with this are asked for, or some of them. */
export const isWanted = (name: string): boolean =>
  wanted.length === 0 || wanted.some((start) => name.startsWith(start) || start.startsWith(name))
