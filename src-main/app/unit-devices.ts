import { AppError } from '#shared/errors/app-error.ts'
import { openFileDevice } from '#main/transports/block/file-device.ts'
import type { UnitDevices } from '#main/units/devices.ts'

/** Files and block devices of this computer. */
export function createUnitDevices(): UnitDevices {
  return {
    open: async (device, access) => {
      if (device.kind === 'iscsi') throw noSessions(device.portal)
      return { device: await openFileDevice(device.path, { readOnly: access === 'read' }) }
    },
    listLuns: ({ portal }) => Promise.reject(noSessions(portal)),
  }
}

const noSessions = (portal: string): AppError =>
  new AppError('not-supported', 'This console has no iSCSI sessions yet', { object: `portal ${portal}` })
