import type { Socket } from 'node:net'
import { AppError } from '#shared/errors/app-error.ts'
import { maxLineBytes } from './protocol.ts'

/** The lines of a socket until it ends. Throws device-rejected when one is too long. */
export async function* readLines(socket: Socket): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let bytes = 0
  // leaving the loop must not cut off an answer that is still being sent
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      yield Buffer.concat([...parts, chunk.subarray(from, end)]).toString('utf8')
      parts = []
      bytes = 0
      from = end + 1
    }
    bytes += chunk.length - from
    if (bytes > maxLineBytes)
      throw new AppError('device-rejected', 'A line of the array’s process is too long')
    if (from < chunk.length) parts.push(chunk.subarray(from))
  }
}

export const formatLine = (document: unknown): string => `${JSON.stringify(document)}\n`
