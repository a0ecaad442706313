import type { ScannedLunEntry, UnitScan } from '#shared/contract/units.ts'
import type { PortalLogin, UnitDevice } from '#shared/domain/unit-device.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import { findVms, type ScannedLun } from '#main/protocols/lun/find-vms.ts'
import { withDevice, type UnitDevices } from '#main/units/devices.ts'
import { mapLimited } from '#main/units/map-limited.ts'
import { contentOf, inspectDevice, problemsOf, type LunFindings } from './report.ts'

export type ScanInput = { readonly portal: PortalLogin } | { readonly files: readonly string[] }

/** For each LUN: two small regions; a LUN that does not answer holds up no other. */
const lunTimeoutMs = 30_000
const atATime = 4

interface Place {
  readonly id: string
  readonly device: UnitDevice
  readonly target?: string
  readonly number?: number
}

/** What every LUN is and the VMs on them (B5, B12): nothing is mounted, no hypervisor is asked, nothing is written. */
export async function scan(devices: UnitDevices, input: ScanInput, signal: AbortSignal): Promise<UnitScan> {
  const { places, failed } = await findPlaces(devices, input, signal)
  const scanned = await mapLimited(places, atATime, (place) => scanOne(devices, place, signal))
  return {
    luns: scanned.map(({ entry }) => entry),
    vms: findVms(scanned.flatMap(({ found }) => found ?? [])).map((vm) => ({
      ...vm,
      base: [...vm.base],
      secondaries: vm.secondaries.map((secondary) => ({ ...secondary, luns: [...secondary.luns] })),
    })),
    targets: failed,
  }
}

async function findPlaces(
  devices: UnitDevices,
  input: ScanInput,
  signal: AbortSignal,
): Promise<{ places: Place[]; failed: UnitScan['targets'] }> {
  if ('files' in input)
    return {
      places: input.files.map((path) => ({ id: path, device: { kind: 'file', path } })),
      failed: [],
    }
  const { luns, failed } = await devices.listLuns(input.portal, signal)
  return {
    places: luns.map(({ target, number }) => ({
      id: `${target}/${number}`,
      target,
      number,
      device: { kind: 'iscsi', ...input.portal, target, lun: number },
    })),
    failed: failed.map(({ target, error }) => ({ target, error: encodeError(error) })),
  }
}

interface Scanned {
  readonly entry: ScannedLunEntry
  /** Absent: it could not be read. */
  readonly found?: ScannedLun
}

async function scanOne(
  devices: UnitDevices,
  { id, device, target, number }: Place,
  signal: AbortSignal,
): Promise<Scanned> {
  const place = {
    id,
    ...(target === undefined ? {} : { target }),
    ...(number === undefined ? {} : { number }),
  }
  const either = AbortSignal.any([signal, AbortSignal.timeout(lunTimeoutMs)])
  try {
    const findings = await withDevice(devices, device, 'read', either, (opened) =>
      inspectDevice(opened, either),
    )
    return {
      entry: { ...place, ...entryOf(findings) },
      found: { id, scsiIds: findings.lun?.scsiIds ?? [], found: findings.found },
    }
  } catch (error) {
    signal.throwIfAborted()
    if (isNoDisk(error)) return { entry: { ...place, kind: 'no-disk', content: [], problems: [] } }
    return { entry: { ...place, content: [], problems: [], error: encodeError(error) } }
  }
}

/** A controller, a tape: many arrays have one as LUN 0 of every target. */
const isNoDisk = (error: unknown): boolean =>
  error instanceof AppError && error.code === 'not-supported' && error.facts['deviceType'] !== undefined

function entryOf({ found, sizeBytes, lun }: LunFindings): Omit<ScannedLunEntry, 'id'> {
  const header = 'unit' in found ? found.unit.header : undefined
  return {
    sizeBytes,
    kind: found.kind,
    content: contentOf(found),
    problems: problemsOf(found),
    ...(lun === undefined ? {} : { lun }),
    ...(header === undefined ? {} : { unitId: header.unitId, vmName: header.vm.name, role: header.role }),
  }
}
