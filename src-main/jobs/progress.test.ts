import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createProgressMeter } from './progress.ts'

const steps = [
  { id: 'a', weight: 1 },
  { id: 'copy', weight: 8 },
  { id: 'z', weight: 1 },
]

function makeMeter() {
  let time = 1000
  const meter = createProgressMeter(steps, () => time)
  return {
    meter,
    wait: (ms: number) => {
      time += ms
    },
  }
}

describe('progress', () => {
  it('is the weight of what is finished and the share of the running bytes', () => {
    const { meter } = makeMeter()
    expect(meter.current()).toEqual({ fraction: 0, remainingMs: 10_000 })
    meter.begin('a')
    meter.finish('a')
    meter.begin('copy')
    meter.report({ bytes: 50, totalBytes: 200 })
    expect(meter.current()).toMatchObject({ fraction: 0.3, stepId: 'copy', bytes: 50, totalBytes: 200 })
    meter.finish('copy')
    meter.begin('z')
    meter.finish('z')
    expect(meter.current()).toEqual({ fraction: 1, remainingMs: 0 })
  })

  it('tells bytes per second of the last ten seconds and the time left', () => {
    const { meter, wait } = makeMeter()
    meter.begin('copy')
    meter.report({ bytes: 0, totalBytes: 10_000 })
    expect(meter.current().bytesPerSecond).toBeUndefined()
    wait(4000)
    meter.report({ bytes: 4000, totalBytes: 10_000 })
    // 6000 bytes at 1000 a second, then the two steps of one second.
    expect(meter.current()).toMatchObject({ bytesPerSecond: 1000, remainingMs: 8000 })
    wait(10_000)
    meter.report({ bytes: 4100, totalBytes: 10_000 })
    expect(meter.current().bytesPerSecond).toBe(10)
  })

  it('without bytes counts the time of the running step against its weight', () => {
    const { meter, wait } = makeMeter()
    meter.begin('copy')
    wait(3000)
    expect(meter.current().remainingMs).toBe(7000)
    wait(60_000)
    expect(meter.current().remainingMs).toBe(2000)
  })

  it('tells of the step that began first while another runs beside it', () => {
    const { meter } = makeMeter()
    meter.begin('copy')
    meter.report({ bytes: 100, totalBytes: 200 })
    meter.begin('z')
    expect(meter.current()).toMatchObject({ fraction: 0.4, stepId: 'copy', bytes: 100 })
    meter.finish('z')
    expect(meter.current()).toMatchObject({ fraction: 0.5, stepId: 'copy', bytes: 100 })
    meter.begin('a')
    meter.finish('copy')
    expect(meter.current()).toMatchObject({ fraction: 0.9, stepId: 'a' })
  })

  it('never falls, also when a copy begins again', () => {
    const { meter, wait } = makeMeter()
    meter.begin('copy')
    meter.report({ bytes: 100, totalBytes: 100 })
    const { fraction } = meter.current()
    wait(1000)
    meter.report({ bytes: 10, totalBytes: 100 })
    expect(meter.current().fraction).toBe(fraction)
    expect(meter.current().bytesPerSecond).toBeUndefined()
  })

  it('is between 0 and 1, never falls and has finite figures whatever is reported', () => {
    const act = fc.oneof(
      fc.record({ act: fc.constant('begin' as const), step: fc.integer({ min: 0, max: 3 }) }),
      fc.record({ act: fc.constant('finish' as const), step: fc.integer({ min: 0, max: 3 }) }),
      fc.record({ act: fc.constant('wait' as const), ms: fc.integer({ min: -5000, max: 20_000 }) }),
      fc.record({
        act: fc.constant('report' as const),
        bytes: fc.nat(),
        totalBytes: fc.option(fc.nat(), { nil: undefined }),
      }),
    )
    const weights = fc.array(fc.oneof(fc.nat({ max: 1000 }), fc.double({ min: 0, max: 10, noNaN: true })), {
      minLength: 4,
      maxLength: 4,
    })
    fc.assert(
      fc.property(weights, fc.array(act), (all, acts) => {
        let time = 0
        const meter = createProgressMeter(
          all.map((weight, index) => ({ id: String(index), weight })),
          () => time,
        )
        let last = 0
        for (const next of acts) {
          if (next.act === 'wait') time += next.ms
          else if (next.act === 'report')
            meter.report(
              next.totalBytes === undefined
                ? { bytes: next.bytes }
                : { bytes: next.bytes, totalBytes: next.totalBytes },
            )
          else meter[next.act](String(next.step))
          const progress = meter.current()
          expect(progress.fraction).toBeGreaterThanOrEqual(last)
          expect(progress.fraction).toBeLessThanOrEqual(1)
          for (const figure of [progress.remainingMs ?? 0, progress.bytesPerSecond ?? 0]) {
            expect(Number.isFinite(figure)).toBe(true)
            expect(figure).toBeGreaterThanOrEqual(0)
          }
          last = progress.fraction
        }
      }),
    )
  })
})
