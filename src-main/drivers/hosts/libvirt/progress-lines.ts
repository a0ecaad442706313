import type { ByteProgress } from '../../action.ts'

/**
 * Reads what a script prints while it works: lines "total N" and "bytes N" become progress, all others are kept.
 * Give `feed` the chunks as they come; bytes never go back.
 */
export function createProgressReader(report: ((progress: ByteProgress) => void) | undefined): {
  readonly feed: (chunk: Uint8Array) => void
  readonly otherLines: readonly string[]
} {
  const decoder = new TextDecoder()
  const otherLines: string[] = []
  let rest = ''
  let bytes = 0
  let totalBytes: number | undefined

  function take(line: string): void {
    const match = /^(total|bytes) (\d+)$/.exec(line)
    if (match === null) {
      if (line !== '') otherLines.push(line)
      return
    }
    if (match[1] === 'total') totalBytes = Number(match[2])
    else bytes = Math.max(bytes, Number(match[2]))
    report?.(totalBytes === undefined ? { bytes } : { bytes: Math.min(bytes, totalBytes), totalBytes })
  }

  return {
    otherLines,
    feed(chunk) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = parts.pop() ?? ''
      for (const line of parts) take(line)
    },
  }
}
