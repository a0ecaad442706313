import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { makeTempDir } from '#test/unit/temp-dir.ts'
import { readDevice } from './fake-device.ts'
import type { DeviceCall, DevicePlan, Meddle } from './fake-device.ts'

/** An error of this code, for toThrow and toEqual. */
export const code = (expected: string): unknown => expect.objectContaining({ code: expected })
export const nobody = (): boolean => false

/** Files to make on a device that already holds somebody else's. */
export function makePlan(door = false): DevicePlan & { base: string } {
  const base = makeTempDir()
  const dir = join(base, 'device')
  readDevice(dir)
  writeFileSync(join(dir, 'foreign'), 'not ours')
  return { base, dir, files: ['one', 'two', 'three'], door }
}

export const untouched = { foreign: 'not ours' }
export const made = (jobId: string): unknown => ({ ...untouched, one: jobId, two: jobId, three: jobId })

/** Throws at one moment of one step. */
export const failAt =
  (
    stepId: string,
    operation: DeviceCall['operation'],
    moment: DeviceCall['moment'],
    times = Infinity,
  ): Meddle =>
  (call) => {
    if (call.stepId !== stepId || call.operation !== operation || call.moment !== moment || times-- <= 0)
      return
    throw new AppError('device-rejected', 'No', { facts: { stderr: 'tgtadm: no' }, effect: 'unknown' })
  }

/** Waits in the middle of a step until it is aborted; `reached` is when it waits. */
export function makeGate(stepId: string): { meddle: Meddle; reached: Promise<void> } {
  const gate = Promise.withResolvers<void>()
  return {
    reached: gate.promise,
    async meddle(call) {
      if (call.stepId !== stepId || call.operation !== 'apply' || call.moment !== 'middle') return
      gate.resolve()
      await new Promise((_, reject) => {
        call.signal.addEventListener('abort', () => reject(call.signal.reason), { once: true })
      })
    },
  }
}
