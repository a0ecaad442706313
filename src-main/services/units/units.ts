import type { ContractHandlers } from '#shared/contract/index.ts'
import { withDevice, type UnitDevices } from '#main/units/devices.ts'
import { releaseLock, takeLock, type LockOwner } from '#main/units/unit-lock.ts'
import { reportDevice, toLock, toLockState } from './report.ts'
import { scan } from './scan.ts'

const readTimeoutMs = 60_000
const scanTimeoutMs = 600_000

export interface UnitsParts {
  readonly unitDevices: UnitDevices
  /** This computer, as the owner of locks. */
  readonly lockOwner: () => LockOwner
  /** Milliseconds since 1970; default: the clock. */
  readonly now?: () => number
}

type UnitHandlers = Pick<ContractHandlers, Extract<keyof ContractHandlers, `units.${string}`>>

/** VM units, read and locked by the console itself. */
export function createUnits({ unitDevices, lockOwner, now = Date.now }: UnitsParts): UnitHandlers {
  return {
    'units.show': async ({ device }) => {
      const signal = AbortSignal.timeout(readTimeoutMs)
      return withDevice(unitDevices, device, 'read', signal, (opened) => reportDevice(opened, signal))
    },
    'units.scan': (input) => scan(unitDevices, input, AbortSignal.timeout(scanTimeoutMs)),
    'units.lock': async ({ device }) => {
      const signal = AbortSignal.timeout(readTimeoutMs)
      return withDevice(unitDevices, device, 'write', signal, async (opened) => {
        const { lock, method } = await takeLock(opened.device, lockOwner(), { signal, now })
        return { lock: toLock(lock), ...(method === undefined ? {} : { method }) }
      })
    },
    'units.unlock': async ({ device, anyone }) => {
      const signal = AbortSignal.timeout(readTimeoutMs)
      return withDevice(unitDevices, device, 'write', signal, async (opened) => {
        const { before, method } = await releaseLock(opened.device, anyone ? 'anyone' : lockOwner(), {
          signal,
          now,
        })
        return { before: toLockState(before), ...(method === undefined ? {} : { method }) }
      })
    },
  }
}
