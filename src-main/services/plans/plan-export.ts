import { randomBytes } from 'node:crypto'
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { OperationOf } from '#shared/contract/operations.ts'
import { portalOnHost, templateFileSchema } from '#shared/domain/compute.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { nameDisks } from '#main/protocols/domain-xml/name-disks.ts'
import { exportMarkName } from '#main/jobs/kinds/export-folder.ts'
import type { ExportPlan } from '#main/jobs/kinds/export.ts'
import { configurationFileName } from '#main/jobs/kinds/stage-copy.ts'
import { factsOfHost, now, type ServiceContext } from '../context.ts'
import { requireFree } from '../exports/local-folder.ts'
import { headerForDeployment, readUnit } from '../read-unit.ts'
import { restoreLostLuns } from './lost-luns.ts'
import type { PlannedWork } from './planned.ts'
import { containerOf, lunNumbersOf, requireLunNumbers } from './volume-checks.ts'

type Input = OperationOf<'export'>

/** Reads the container's description, and chooses the names of snapshot and LUN. */
export async function planExport(
  context: ServiceContext,
  input: Input,
  signal: AbortSignal,
): Promise<PlannedWork[]> {
  const array = context.devices.array(input.array)
  const host = context.devices.host(input.host)
  const container = containerOf(input)
  const [{ sizeBytes, unit }, object, luns, facts] = await Promise.all([
    readUnit(array, container, signal),
    array.findObject(container, signal),
    array.listLuns(signal),
    factsOfHost(context, input.host, signal),
    requireFree(input.folder),
  ])
  const header = headerForDeployment(unit, container)
  const fileSystem = header.fileSystem?.type
  if (fileSystem === undefined)
    throw new AppError('not-supported', 'The container holds disks and no files', {
      object: `container ${input.container}`,
      advice: 'Deploy it, and read its disks from the LUN: gantry unit export.',
    })
  if (!facts.fileSystems.includes(fileSystem))
    throw new AppError('not-supported', `The host cannot mount ${fileSystem} file systems`, {
      object: `host ${input.host}`,
      advice: 'Name another host, or install the tools there and run "gantry host probe".',
    })
  requireLunNumbers(lunNumbersOf(array.config, input.volume, luns), 1)
  const files = filesOf(header, input.container)
  const bytesToMove = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  await requireSpace(input.folder, Math.min(bytesToMove, object?.allocatedBytes ?? bytesToMove))
  const name = `export-${randomBytes(4).toString('hex')}-${input.container}`.slice(0, 63)
  const portal = portalOnHost(host.config, input.array)
  const plan: ExportPlan = {
    array: input.array,
    host: input.host,
    container: { ...container, unitId: header.unitId, sizeBytes },
    snapshot: { volume: input.volume, kind: 'snapshot', name },
    lun: array.addressOf(array.newIdentity(name), portal),
    initiator: facts.initiatorName,
    osType: header.osType,
    fileSystem,
    folder: input.folder,
    files,
    configuration: nameDisks(
      header.vm.configuration.text,
      header.disks.map(({ index, format, path }) => ({ index, format, name: path ?? '' })),
    ),
    description: {
      product: `Gantry ${context.productVersion}`,
      exportedAt: now(),
      container: `${input.array}/${input.volume}/${input.container}`,
      unitId: header.unitId,
    },
  }
  return [
    ...restoreLostLuns(context, input.array, luns),
    {
      kind: 'export',
      plan,
      warnings: unit.problems.map((problem) => `Container ${input.container}: ${problem}.`),
      bytesToMove,
    },
  ]
}

/** The names become paths of this computer, so whoever wrote the container is not trusted with more than names. */
export function filesOf(header: Pick<UnitHeader, 'files'>, container: string): ExportPlan['files'] {
  const taken = new Set([configurationFileName, exportMarkName])
  return header.files
    .filter(({ path }) => path !== configurationFileName)
    .map(({ path: name, sizeBytes, sha256 }) => {
      const key = name.toLowerCase()
      if (!templateFileSchema.shape.name.safeParse(name).success || taken.has(key))
        throw new AppError('bad-request', `The container names a file "${name}", which is not exported`, {
          object: `container ${container}`,
          advice: 'It was not written by Gantry, or it is damaged.',
        })
      taken.add(key)
      return { name, sizeBytes, sha256 }
    })
}

async function requireSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(folder))
  if (bytes <= bavail * bsize) return
  throw new AppError('bad-request', 'There is no room for the VM data on this computer', {
    object: folder,
    facts: { 'VM data': formatBytes(bytes), free: formatBytes(bavail * bsize) },
    advice: 'Free space there, or choose a folder on another disk.',
  })
}
