import type { LoadResult } from './loads.ts'

export const rounds = Number(process.env['GANTRY_BENCH_ROUNDS'] ?? 5)

/** Both in turn, so that the drift of a shared machine meets both. */
export async function alternate<Result extends LoadResult>(
  ours: () => Promise<Result>,
  theirs: () => Promise<Result>,
): Promise<{ readonly ours: Result[]; readonly theirs: Result[] }> {
  const results = { ours: [] as Result[], theirs: [] as Result[] }
  for (let round = 0; round < rounds; round++)
    for (const isOurs of round % 2 === 0 ? [true, false] : [false, true])
      results[isOurs ? 'ours' : 'theirs'].push(await (isOurs ? ours() : theirs()))
  return results
}

export const rates = (results: readonly LoadResult[]): number[] =>
  results.map(({ bytesPerSecond }) => bytesPerSecond)
export const cpus = (results: readonly LoadResult[]): number[] =>
  results.map(({ cpuSecondsPerGiB }) => cpuSecondsPerGiB)
