import type { ContractHandlers } from '#shared/contract/index.ts'
import { withDevice, type UnitDevices } from '#main/units/devices.ts'
import { releaseLock, takeLock, type Locks } from '#main/units/unit-lock.ts'
import { reportDevice, toLock, toLockState } from './report.ts'
import { scan } from './scan.ts'

const readTimeoutMs = 60_000
const scanTimeoutMs = 600_000

export interface UnitsParts {
  readonly unitDevices: UnitDevices
  readonly locks: Locks
}

type UnitHandlers = Pick<ContractHandlers, Extract<keyof ContractHandlers, `units.${string}`>>

/** VM units, read and locked by the console itself. */
export function createUnits({ unitDevices, locks }: UnitsParts): UnitHandlers {
  const { now, isGone, thisComputer } = locks
  return {
    'units.show': async ({ device }) => {
      const signal = AbortSignal.timeout(readTimeoutMs)
      return withDevice(unitDevices, device, 'read', signal, (opened) => reportDevice(opened, locks, signal))
    },
    'units.scan': (input) => scan(unitDevices, input, AbortSignal.timeout(scanTimeoutMs)),
    'units.lock': async ({ device }) => {
      const signal = AbortSignal.timeout(readTimeoutMs)
      return withDevice(unitDevices, device, 'write', signal, async (opened) => {
        const { lock, method } = await takeLock(opened.device, thisComputer(), { signal, now, isGone })
        return { lock: toLock(lock), ...(method === undefined ? {} : { method }) }
      })
    },
    'units.unlock': async ({ device, anyone }) => {
      const signal = AbortSignal.timeout(readTimeoutMs)
      return withDevice(unitDevices, device, 'write', signal, async (opened) => {
        const by = anyone ? 'anyone' : thisComputer()
        const { before, method } = await releaseLock(opened.device, by, { signal, now, isGone })
        return { before: await toLockState(before, locks), ...(method === undefined ? {} : { method }) }
      })
    },
  }
}
