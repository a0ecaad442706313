import { createRequire } from 'node:module'

/** What Node has no call for: holes of a file. Offsets and lengths in bytes. */
export interface SparseFiles {
  /** Gives the blocks back; what is smaller than a block of the file system is zeroed. Rejects with the system's error code. */
  punch(fd: number, offset: number, lengthBytes: number): Promise<void>
  /** Whether there is data at `offset` (below the file's end), and where that ends. */
  extentAt(fd: number, offset: number): { readonly isHole: boolean; readonly end: number }
}

/** linux/falloc.h: FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE; unistd.h: SEEK_DATA, SEEK_HOLE. */
const keepSizeAndPunch = 0x01 | 0x02
const seekData = 3
const seekHole = 4

/** undefined: this system has no such calls, or we do not know them. docs/adr/0009 says why a foreign function is called. */
export const sparseFiles: SparseFiles | undefined = process.platform === 'linux' ? linuxFiles() : undefined

function linuxFiles(): SparseFiles | undefined {
  let koffi: typeof import('koffi')
  try {
    koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
  } catch {
    return undefined
  }
  const libc = koffi.load(null)
  const fallocate = libc.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)')
  const lseek = libc.func('int64_t lseek(int fd, int64_t offset, int whence)') as (
    fd: number,
    offset: number,
    whence: number,
  ) => number
  const codeOf = (errno: number): string =>
    Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`

  return {
    punch: (fd, offset, lengthBytes) =>
      new Promise((resolve, reject) => {
        fallocate.async(fd, keepSizeAndPunch, offset, lengthBytes, (error: Error | null, result: number) => {
          if (error !== null) reject(error)
          else if (result === 0) resolve()
          else {
            const code = codeOf(koffi.errno())
            reject(Object.assign(new Error(`fallocate: ${code}`), { code }))
          }
        })
      }),
    extentAt: (fd, offset) => {
      const data = lseek(fd, offset, seekData)
      // ENXIO: nothing but a hole up to the end of the file. Anything else: it is not known.
      if (data < 0) return { isHole: koffi.errno() === koffi.os.errno.ENXIO, end: Number.POSITIVE_INFINITY }
      if (data > offset) return { isHole: true, end: data }
      return { isHole: false, end: lseek(fd, offset, seekHole) }
    },
  }
}
