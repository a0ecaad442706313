import { createHash } from 'node:crypto'
import type { Template, TemplateFile } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { Digest } from '#main/protocols/ovf/manifest.ts'
import { openOvfPackage } from './ovf-package.ts'
import type { OpenSourceFiles, SourceBytes } from './source-files.ts'

/**
 * The content of a template's file that the console reads, from its beginning at each call. The stream throws stale when
 * the file is not the one that was read for the plan, and bad-request at its end when its bytes are not those of the
 * OVF's manifest: what was received must be thrown away then.
 */
export const templateFileOpener =
  (openSourceFiles: OpenSourceFiles) => (template: Template, file: TemplateFile) =>
    async function* content(signal: AbortSignal): AsyncGenerator<Uint8Array> {
      const { bytes, digest } = await locate(template, file, openSourceFiles, signal)
      if (bytes.sizeBytes !== file.sizeBytes)
        throw stale(file, `it has ${bytes.sizeBytes} bytes, not ${file.sizeBytes}`)
      const hash = digest === undefined ? undefined : createHash(digest.algorithm)
      let received = 0
      for await (const chunk of bytes.stream()) {
        received += chunk.length
        hash?.update(chunk)
        yield chunk
      }
      if (received !== file.sizeBytes)
        throw stale(file, `it ended after ${received} of ${file.sizeBytes} bytes`)
      const hex = hash?.digest('hex')
      if (digest !== undefined && hex !== undefined && hex !== digest.hex)
        throw new AppError('bad-request', `"${file.source}" is not the file of the OVF's manifest`, {
          object: file.source,
          facts: {
            'manifest says': `${digest.algorithm} ${digest.hex}`,
            'file has': `${digest.algorithm} ${hex}`,
          },
          advice: 'Fetch or export the package again.',
        })
    }

const stale = (file: TemplateFile, why: string): AppError =>
  new AppError('stale', `"${file.source}" has changed since the template was read: ${why}`, {
    object: file.source,
    advice: 'Start the staging again.',
  })

async function locate(
  { source }: Template,
  file: TemplateFile,
  openSourceFiles: OpenSourceFiles,
  signal: AbortSignal,
): Promise<{ readonly bytes: SourceBytes; readonly digest: Digest | undefined }> {
  if (source.kind === 'domain' || source.on === 'host')
    throw new AppError('bug', `"${file.source}" is not read by the console`)
  const files = openSourceFiles(source.on, signal)
  if (source.kind === 'ovf') {
    const ovf = await openOvfPackage(source.path, files)
    return { bytes: await ovf.file(file.source), digest: ovf.digests.get(file.source) }
  }
  const folder = source.kind === 'folder' ? source.path : undefined
  return { bytes: await files.open(file.source, folder), digest: undefined }
}
