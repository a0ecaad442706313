import { z } from 'zod'
import { lunAddressSchema, type ChapLogin, type LunAddress } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { decodeUnit, unitProbeBytes } from '#main/protocols/unit/unit.ts'
import type { BlockDevice } from '#main/transports/block/block-device.ts'
import { join } from 'node:path'
import type { AttachedLun, HostDriver } from '../contract.ts'
import { parseJson, readText, removeAll, writeWhole } from './files.ts'
import { attachedFolder } from './places.ts'

/** A LUN over a session of the console, to be closed by the caller. */
export interface SeenLun {
  readonly device: BlockDevice
  /** VPD page 80h. */
  readonly serial: string
  /** NAA names, hex, lower case (VPD page 83h). */
  readonly naa: readonly string[]
}

export interface LunLoginWay {
  readonly initiatorName: string
  readonly login?: ChapLogin | undefined
}

export type OpenLun = (lun: LunAddress, way: LunLoginWay, signal: AbortSignal) => Promise<SeenLun>

export interface AttachContext {
  readonly dataDir: string
  readonly initiatorName: string
  readonly openLun: OpenLun
  /** Names of the running VMs that have a disk on the LUN. */
  readonly usersOf: (lun: LunAddress) => Promise<string[]>
}

const stateSchema = z.object({ lun: lunAddressSchema, unitId: z.string() })

/** For a plan: who logs in; the secret is not shown. */
const withUser = (login: ChapLogin | undefined): string =>
  login === undefined ? '' : ` with the secret of CHAP user ${login.user}`

/** The LUN as QEMU opens it. */
const deviceOf = ({ portal, target, lun }: LunAddress): string => `iscsi://${portal}/${target}/${lun}`

/**
 * There is no device to make on this computer: QEMU logs in by itself. Attaching proves that the LUN can be reached
 * from here, is the one that is meant and bears a unit; a file in the data folder says that this was done.
 */
export function createAttachments({
  dataDir,
  initiatorName,
  openLun,
  usersOf,
}: AttachContext): Pick<HostDriver, 'attachLun' | 'findAttached' | 'detachLun'> {
  const pathOf = ({ serial }: LunAddress): string => {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$/.test(serial))
      throw new AppError('bad-request', `"${serial}" is no serial number of a LUN`)
    return join(attachedFolder(dataDir), `${serial}.json`)
  }
  return {
    attachLun: (lun, login) => ({
      commands: [
        `log in to ${lun.target} at ${lun.portal} as ${initiatorName}${withUser(login)}; compare serial ${lun.serial} and NAA ${lun.naa}; read the unit's header; log out`,
        `write ${pathOf(lun)}`,
      ],
      async run({ signal }): Promise<AttachedLun> {
        const seen = await openLun(lun, { initiatorName, login }, signal)
        try {
          requireSame(lun, seen)
          const unitId = await readUnitId(seen.device, signal)
          await writeWhole(pathOf(lun), `${JSON.stringify({ lun, unitId })}\n`)
        } finally {
          await seen.device.close()
        }
        return { device: deviceOf(lun) }
      },
    }),
    async findAttached(lun) {
      const text = await readText(pathOf(lun))
      if (text === undefined) return undefined
      const state = stateSchema.safeParse(parseJson(text))
      const isSame =
        state.success && state.data.lun.target === lun.target && state.data.lun.portal === lun.portal
      return isSame ? { device: deviceOf(lun) } : { device: '', partial: true }
    },
    detachLun: (lun) => ({
      commands: [`refuse while a VM of this computer runs on it; remove ${pathOf(lun)}`],
      async run() {
        const users = await usersOf(lun)
        if (users.length > 0)
          throw new AppError('busy', 'The LUN is in use', {
            object: `LUN ${lun.name}`,
            facts: { 'used by': users.map((name) => `VM ${name}`).join(', ') },
            advice: 'Stop the VM first.',
          })
        await removeAll(pathOf(lun))
      },
    }),
  }
}

function requireSame(lun: LunAddress, { device, serial, naa }: SeenLun): void {
  if (serial === lun.serial && naa.includes(lun.naa)) return
  throw new AppError('bad-request', 'The LUN at this address has another serial or NAA name', {
    object: device.name,
    facts: { wanted: `${lun.serial}, ${lun.naa}`, found: [serial, ...naa].join(', ') },
    advice: 'Somebody has put another LUN in its place; look at the array. Nothing was written.',
  })
}

/** Throws device-rejected when the LUN bears no unit that verifies. */
async function readUnitId(device: BlockDevice, signal: AbortSignal): Promise<string> {
  const unit = decodeUnit(await device.read(0, Math.min(unitProbeBytes, device.sizeBytes), signal))
  if (unit.state === 'ok' && unit.header !== undefined) return unit.header.unitId
  throw new AppError('device-rejected', 'The LUN bears no unit that verifies', {
    object: device.name,
    facts: { found: unit.problems.join('; ') || unit.state },
    advice: 'gantry unit show tells more; deploy from a container that is in order.',
  })
}
