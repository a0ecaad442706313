import { AppError } from '#shared/errors/app-error.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import type { ConsolePlace, Template, TemplateFile } from '#shared/domain/compute.ts'
import { placeOfFiles } from '#shared/domain/place.ts'
import type { FileChecksum, HostDriver } from '#main/drivers/hosts/contract.ts'
import { unitFilesOf } from '#main/drivers/unit-files.ts'
import type { Json, Step, StepContext } from '../step.ts'
import { deviceStep } from './device-step.ts'
import { hostTarget } from './lun-steps.ts'
import type { StagedFile, StagePlan } from './stage.ts'

/** Opens a file of a template that the console reads; the iterable throws when its manifest hash is wrong. */
export type OpenTemplateFile = (
  template: Template,
  file: TemplateFile,
) => (signal: AbortSignal) => AsyncIterable<Uint8Array>

export const configurationFileName = 'vm.xml'

/** Where the console reads it; undefined: it lies on the staging host. */
function consolePlaceOf({ source }: Template): ConsolePlace | undefined {
  return source.kind === 'domain' || source.on === 'host' ? undefined : source.on
}

const bytesPerWeight = 200 * 1024 * 1024

/** Copy, flush, verify (A6). Results: `verify` -> FileChecksum[] of what lies in the container. */
export function copySteps(host: HostDriver, plan: StagePlan, open: OpenTemplateFile): Step[] {
  const place = consolePlaceOf(plan.template)
  const onHost = place === undefined
  return [
    ...(onHost
      ? [copyOnHostStep(host, plan)]
      : plan.files.map((file, index) =>
          sendStep(host, plan, { file, index, from: placeOfFiles(place), open }),
        )),
    configurationStep(host, plan),
    ...plan.files.flatMap((file, index) => (file.converted ? [convertStep(host, plan, file, index)] : [])),
    deviceStep({
      id: 'sync',
      title: 'Flush to the LUN; a full volume shows here',
      target: hostTarget(host),
      weight: 0.5 + totalBytes(plan) / bytesPerWeight,
      action: unitFilesOf(host).syncUnit(plan.lun),
      observe: async () => 'absent',
    }),
    verifyStep(host, plan, onHost),
  ]
}

const totalBytes = (plan: StagePlan): number =>
  plan.files.reduce((sum, file) => sum + file.source.sizeBytes, 0)

function copyOnHostStep(host: HostDriver, plan: StagePlan): Step {
  return deviceStep({
    id: 'copy',
    title: `Copy ${plan.files.length} file(s), ${formatBytes(totalBytes(plan))}, on the host`,
    target: hostTarget(host),
    weight: 0.2 + totalBytes(plan) / bytesPerWeight,
    action: unitFilesOf(host).copyFiles(
      plan.lun,
      plan.files.map(({ source }) => ({ source: source.source, name: source.name })),
    ),
    observe: async () => 'partial',
  })
}

function sendStep(
  host: HostDriver,
  plan: StagePlan,
  {
    file,
    index,
    from,
    open,
  }: {
    readonly file: StagedFile
    readonly index: number
    readonly from: string
    readonly open: OpenTemplateFile
  },
): Step {
  return deviceStep({
    id: `send-${index}`,
    title: `Send ${file.source.name}, ${formatBytes(file.source.sizeBytes)}, from ${from}`,
    target: hostTarget(host),
    weight: 0.2 + (2 * file.source.sizeBytes) / bytesPerWeight,
    action: unitFilesOf(host).receiveFile(
      plan.lun,
      file.source.name,
      file.source.sizeBytes,
      open(plan.template, file.source),
    ),
    observe: async () => 'partial',
    result: (checksum) => ({ ...checksum }),
  })
}

function configurationStep(host: HostDriver, plan: StagePlan): Step {
  const bytes = new TextEncoder().encode(plan.template.configuration.text)
  return deviceStep({
    id: 'send-configuration',
    title: 'Write the VM configuration beside the disks',
    target: hostTarget(host),
    weight: 0.02,
    action: unitFilesOf(host).receiveFile(plan.lun, configurationFileName, bytes.length, async function* () {
      yield bytes
    }),
    observe: async () => 'partial',
    result: (checksum) => ({ ...checksum }),
  })
}

function convertStep(host: HostDriver, plan: StagePlan, file: StagedFile, index: number): Step {
  const format = file.source.disk?.format ?? 'raw'
  return deviceStep({
    id: `convert-${index}`,
    title: `Convert ${file.source.name} (${format}) to ${file.name}`,
    target: hostTarget(host),
    weight: 0.5 + (2 * file.source.sizeBytes) / bytesPerWeight,
    action: unitFilesOf(host).convertImage(plan.lun, { name: file.source.name, format }, file.name),
    observe: async () => 'partial',
  })
}

function verifyStep(host: HostDriver, plan: StagePlan, onHost: boolean): Step {
  const mountPoint = unitFilesOf(host).mountPointOf(plan.lun)
  const written = unitFilesOf(host).hashFiles(
    [...plan.files.map(({ name }) => name), configurationFileName].map((name) => ({
      name,
      path: `${mountPoint}/${name}`,
    })),
  )
  const read = unitFilesOf(host).hashFiles(
    plan.files.map(({ source }) => ({ name: source.name, path: source.source })),
  )
  const commands = onHost ? [...read.commands, ...written.commands] : [...written.commands]
  return {
    id: 'verify',
    title: 'Read back from the LUN and compare checksums',
    target: hostTarget(host),
    weight: 0.2 + totalBytes(plan) / bytesPerWeight,
    commands,
    undoCommands: [],
    observe: async () => 'absent',
    async apply(context) {
      const found = await written.run({ signal: context.signal })
      const expected = onHost ? await read.run({ signal: context.signal }) : sentChecksums(plan, context)
      compare(plan, expected, found)
      return found.map((checksum) => ({ ...checksum })) satisfies Json
    },
  }
}

function sentChecksums(plan: StagePlan, context: StepContext): FileChecksum[] {
  return plan.files.map((_file, index) => context.resultOf(`send-${index}`) as unknown as FileChecksum)
}

/** A converted image has new bytes; the conversion has compared its content. */
function compare(plan: StagePlan, expected: readonly FileChecksum[], found: readonly FileChecksum[]): void {
  for (const file of plan.files.filter(({ converted }) => !converted)) {
    const source = expected.find(({ name }) => name === file.source.name)
    const copy = found.find(({ name }) => name === file.name)
    if (source === undefined || copy === undefined || source.sha256 !== copy.sha256)
      throw new AppError(
        'device-rejected',
        `What lies on the LUN differs from the source of ${file.source.name}`,
        {
          object: `container ${plan.container.name}`,
          effect: 'done',
          facts: { source: source?.sha256 ?? 'not read', copy: copy?.sha256 ?? 'not found' },
          advice:
            'The source changed while it was copied, or the path to the array is faulty. Stop what writes to the source and stage again.',
        },
      )
  }
}
