import { AppError } from '#shared/errors/app-error.ts'
import type { ObjectFacts } from '#shared/domain/storage.ts'
import { markExtension, parseObjectPath } from '../layout.ts'

const blockBytes = 512

/**
 * Lines about the files of a volume, in any order, as objects sorted by path:
 *
 *     file 67108864 16384 containers/web.ctr           size, blocks of 512 bytes
 *     mark containers/web.ctr.gantry:job=0c9f2b        may be there before its object: size 0
 *     unique 8388608 containers/web.ctr                only where the array can tell
 *
 * Files whose names are none of ours are left out. Throws device-rejected on any other line.
 */
export function parseObjects(volume: string, text: string): ObjectFacts[] {
  const objects = new Map<string, ObjectFacts>()
  const merge = (path: string, facts: Partial<ObjectFacts>): void => {
    const ref = parseObjectPath(volume, path)
    if (ref !== undefined)
      objects.set(path, { ...ref, sizeBytes: 0, allocatedBytes: 0, ...objects.get(path), ...facts })
  }
  for (const line of text.split('\n')) {
    if (line === '') continue
    const file = /^file (\d+) (\d+) (.+)$/.exec(line)
    const mark = /^mark (.+):job=(.*)$/.exec(line)
    const unique = /^unique (\d+) (.+)$/.exec(line)
    if (file !== null)
      merge(file[3] ?? '', { sizeBytes: Number(file[1]), allocatedBytes: Number(file[2]) * blockBytes })
    else if (mark !== null) merge((mark[1] ?? '').slice(0, -markExtension.length), { mark: mark[2] ?? '' })
    else if (unique !== null) merge(unique[2] ?? '', { uniqueBytes: Number(unique[1]) })
    else
      throw new AppError('device-rejected', 'The array listed an object in an unknown way', {
        facts: { line },
      })
  }
  return [...objects].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, facts]) => facts)
}
