import { open, mkdir, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Template, TemplateFile } from '#shared/domain/compute.ts'
import { formatBytes, MiB } from '#shared/units/bytes.ts'
import { fileError } from '#main/transports/local/file-errors.ts'
import type { Step, StepContext } from '../step.ts'
import type { OpenTemplateFile } from './stage-copy.ts'

/** Images on the way to this computer, where they are read as disks; nothing of them stays. */
export interface PlannedFetch {
  readonly template: Template
  /** For people: "server root@files1". */
  readonly from: string
  /** A folder of this job alone, not there yet. */
  readonly folder: string
  /** `path`: in that folder. */
  readonly images: readonly { readonly file: TemplateFile; readonly path: string }[]
}

export const fetchSteps = (plan: PlannedFetch, openTemplateFile: OpenTemplateFile): Step[] =>
  plan.images.map(({ file, path }, index) => ({
    id: `fetch-${index}`,
    title: `Fetch ${file.source}, ${formatBytes(file.sizeBytes)}, from ${plan.from} into ${plan.folder}`,
    target: 'console',
    weight: 0.2 + file.sizeBytes / bytesPerWeight,
    commands: [`read ${file.sizeBytes} bytes of ${file.source} into ${path}`],
    undoCommands: [`remove ${path}`],
    observe: () => Promise.resolve('partial'),
    apply: (context) => fetchImage(openTemplateFile(plan.template, file), path, file.sizeBytes, context),
    undo: () => rm(index === 0 ? plan.folder : path, { recursive: true, force: true }),
  }))

const bytesPerWeight = 200 * 1024 * 1024

export const dropFetchedStep = ({ folder }: PlannedFetch): Step => ({
  id: 'drop-fetched',
  title: 'Remove what was fetched from this computer',
  target: 'console',
  weight: 0.01,
  commands: [`remove ${folder}`],
  undoCommands: [],
  observe: () => Promise.resolve('absent'),
  apply: () => rm(folder, { recursive: true, force: true }),
})

async function fetchImage(
  content: ReturnType<OpenTemplateFile>,
  path: string,
  totalBytes: number,
  context: StepContext,
): Promise<void> {
  const file = await create(path)
  try {
    let bytes = 0
    for await (const chunk of content(context.signal)) {
      if (!isHole(chunk)) await writeAll(file, path, chunk, bytes)
      bytes += chunk.length
      context.report({ bytes, totalBytes })
    }
    await file.truncate(bytes)
  } finally {
    await file.close()
  }
}

const zeros = Buffer.alloc(MiB)
const isHole = (chunk: Uint8Array): boolean =>
  chunk.length <= zeros.length && zeros.compare(chunk, 0, chunk.length, 0, chunk.length) === 0

async function create(path: string): Promise<FileHandle> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    return await open(path, 'w', 0o600)
  } catch (error) {
    throw fileError(error, path)
  }
}

async function writeAll(file: FileHandle, path: string, bytes: Uint8Array, offset: number): Promise<void> {
  try {
    for (let written = 0; written < bytes.length;)
      written += (await file.write(bytes, written, bytes.length - written, offset + written)).bytesWritten
  } catch (error) {
    throw fileError(error, path)
  }
}
