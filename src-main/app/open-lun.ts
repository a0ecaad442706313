import type { LunAddress } from '#shared/domain/storage.ts'
import { chapOf } from '#shared/domain/unit-device.ts'
import type { LunLoginWay, SeenLun } from '#main/drivers/hosts/embedded/attach.ts'
import type { UnitDevices } from '#main/units/devices.ts'

/** A LUN as the console's own initiator sees it; only read. */
export async function openLun(
  devices: UnitDevices,
  { portal, target, lun }: LunAddress,
  { initiatorName, login }: LunLoginWay,
  signal: AbortSignal,
): Promise<SeenLun> {
  const { device, lun: facts } = await devices.open(
    { kind: 'iscsi', portal, target, lun, initiatorName, ...chapOf(login) },
    'read',
    signal,
  )
  const naa = (facts?.scsiIds ?? []).flatMap((id) => /^naa\.([0-9a-f]+)$/.exec(id)?.[1] ?? [])
  return { device, serial: facts?.serial?.trim() ?? '', naa }
}
