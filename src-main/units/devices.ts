import type { LunFactsInBand } from '#shared/contract/units.ts'
import type { PortalLogin, UnitDevice } from '#shared/domain/unit-device.ts'
import type { AppError } from '#shared/errors/app-error.ts'
import type { BlockDevice } from '#main/transports/block/block-device.ts'

export interface OpenedDevice {
  readonly device: BlockDevice
  /** Of a LUN: what it says of itself. */
  readonly lun?: LunFactsInBand
}

export interface LunsOfPortal {
  readonly luns: readonly { readonly target: string; readonly number: number }[]
  /** Targets that could not be asked. */
  readonly failed: readonly { readonly target: string; readonly error: AppError }[]
}

/**
 * The devices that units lie on, whatever they are reached by. Errors: not-found (no such file, target or LUN),
 * auth-failed, unreachable, timeout, busy, not-supported.
 */
export interface UnitDevices {
  /** To be closed by the caller. `read`: nothing can be written through it. */
  open(device: UnitDevice, access: 'read' | 'write', signal: AbortSignal): Promise<OpenedDevice>
  /** Discovery by SendTargets, then REPORT LUNS of each target. */
  listLuns(login: PortalLogin, signal: AbortSignal): Promise<LunsOfPortal>
}

/** Opens, works and closes in any case. */
export async function withDevice<T>(
  devices: UnitDevices,
  where: UnitDevice,
  access: 'read' | 'write',
  signal: AbortSignal,
  use: (opened: OpenedDevice) => Promise<T>,
): Promise<T> {
  const opened = await devices.open(where, access, signal)
  try {
    return await use(opened)
  } finally {
    await opened.device.close()
  }
}

/** For a job's resources and titles: "file /srv/web.img", "LUN 1 of iqn.2026-11.lab:web at 192.0.2.10:3260". */
export const nameOfDevice = (device: UnitDevice): string =>
  device.kind === 'file' ? `file ${device.path}` : `LUN ${device.lun} of ${device.target} at ${device.portal}`
