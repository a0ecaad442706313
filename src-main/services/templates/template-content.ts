import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { Template, TemplateFile } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { MiB } from '#shared/units/bytes.ts'
import type { Digest } from '#main/protocols/ovf/manifest.ts'
import { fileError, localFile, type LocalBytes } from './local-files.ts'
import { openOvfPackage } from './ovf-package.ts'

/**
 * The content of a template's file on this computer, from its beginning at each call. The stream throws stale when
 * the file is not the one that was read for the plan, and bad-request at its end when its bytes are not those of the
 * OVF's manifest: what was received must be thrown away then.
 */
export function openTemplateFile(template: Template, file: TemplateFile): () => AsyncIterable<Uint8Array> {
  return async function* content() {
    const { bytes, digest } = await locate(template, file)
    if (bytes.sizeBytes !== file.sizeBytes)
      throw stale(file, `it has ${bytes.sizeBytes} bytes, not ${file.sizeBytes}`)
    const hash = digest === undefined ? undefined : createHash(digest.algorithm)
    let received = 0
    for await (const chunk of readRange(bytes)) {
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
}

const stale = (file: TemplateFile, why: string): AppError =>
  new AppError('stale', `"${file.source}" has changed since the template was read: ${why}`, {
    object: file.source,
    advice: 'Start the staging again.',
  })

async function locate(
  template: Template,
  file: TemplateFile,
): Promise<{ readonly bytes: LocalBytes; readonly digest: Digest | undefined }> {
  const { source } = template
  if (source.kind === 'ovf') {
    const ovf = await openOvfPackage(source.path)
    return { bytes: await ovf.file(file.source), digest: ovf.digests.get(file.source) }
  }
  if (source.kind === 'domain' || source.on !== 'console')
    throw new AppError('bug', `"${file.source}" does not lie on this computer`)
  return { bytes: await localFile(file.source), digest: undefined }
}

async function* readRange({ path, offset, sizeBytes }: LocalBytes): AsyncGenerator<Uint8Array> {
  if (sizeBytes === 0) return
  const stream = createReadStream(path, { start: offset, end: offset + sizeBytes - 1, highWaterMark: MiB })
  try {
    for await (const chunk of stream) yield chunk as Uint8Array
  } catch (error) {
    throw fileError(error, path)
  }
}
