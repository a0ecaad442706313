import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { mkfsArguments } from '#shared/domain/file-system-options.ts'
import { KiB, roundUp } from '#shared/units/bytes.ts'
import type { FileSystemType } from '#shared/domain/storage.ts'
import { dataFirstLba, headerPartitionFirstLba, headerPartitionSectors } from '#shared/domain/unit-layout.ts'

const execute = promisify(execFile)
/** Runs a program; a non-zero exit rejects with its standard error in the message. */
export const run = async (program: string, ...args: readonly string[]): Promise<string> =>
  (await execute(program, args, { env: { ...process.env, LC_ALL: 'C' } })).stdout

/** A container file, partitioned and formatted as a unit, on a loop device of this computer. Needs root. */
export class ScratchContainer {
  readonly fileSystem: FileSystemType
  readonly fileSystemBytes: number
  readonly mountPoint: string
  readonly #directory: string
  readonly #device: string
  #mounted = false

  private constructor(
    fileSystem: FileSystemType,
    fileSystemBytes: number,
    directory: string,
    device: string,
  ) {
    this.fileSystem = fileSystem
    this.fileSystemBytes = fileSystemBytes
    this.mountPoint = join(directory, 'mnt')
    this.#directory = directory
    this.#device = device
  }

  static async create(sizeBytes: number, fileSystem: FileSystemType): Promise<ScratchContainer> {
    const directory = await mkdtemp(join(tmpdir(), 'gantry-size-'))
    try {
      const image = join(directory, 'container')
      await writeFile(image, '')
      await truncate(image, sizeBytes)
      const partition = await partitionLike(image, join(directory, 'table'))
      const device = await run(
        'losetup',
        '-f',
        '--show',
        '-o',
        partition.start,
        '--sizelimit',
        partition.size,
        image,
      )
      const container = new ScratchContainer(fileSystem, Number(partition.size), directory, device.trim())
      try {
        await run(`mkfs.${fileSystem}`, ...mkfsArguments(fileSystem), container.#device)
        await mkdir(container.mountPoint)
        await container.mount()
      } catch (error) {
        await container.remove()
        throw error
      }
      return container
    } catch (error) {
      await rm(directory, { recursive: true, force: true })
      throw error
    }
  }

  async mount(): Promise<void> {
    const type = this.fileSystem === 'ntfs' ? 'ntfs-3g' : this.fileSystem
    await run('mount', '-t', type, this.#device, this.mountPoint)
    this.#mounted = true
  }

  async unmount(): Promise<void> {
    if (this.#mounted) await run('umount', this.mountPoint)
    this.#mounted = false
  }

  /** Gives a file all its blocks without writing them. Rejects when they are not there. */
  async allocate(name: string, sizeBytes: number): Promise<void> {
    const path = join(this.mountPoint, name)
    if (this.fileSystem !== 'ntfs') {
      await run('fallocate', '-l', String(sizeBytes), path)
      return
    }
    // ntfs-3g has no fallocate while mounted; its own tool works on the device. The tool fails when one request needs
    // nearly all free clusters, says so only on standard error, and exits with 0: so four requests, then a look.
    await writeFile(path, '')
    await this.unmount()
    const part = roundUp(sizeBytes / 4, 64 * KiB)
    for (let offset = 0; offset < sizeBytes; offset += part) {
      const length = Math.min(part, sizeBytes - offset)
      await run('ntfsfallocate', '-o', String(offset), '-l', String(length), this.#device, name)
    }
    await this.mount()
    const blocks = Number(await run('stat', '-c', '%b', path))
    if (blocks * 512 < sizeBytes) throw new Error(`${name}: No space left on device (ntfsfallocate)`)
  }

  /** A full volume may show here and nowhere else. */
  async sync(): Promise<void> {
    await run('sync', '-f', this.mountPoint)
  }

  async freeBytes(): Promise<number> {
    const [blockBytes, blocks] = (await run('stat', '-f', '-c', '%S %a', this.mountPoint)).split(' ')
    return Number(blockBytes) * Number(blocks)
  }

  async remove(): Promise<void> {
    await this.unmount()
    await run('losetup', '-d', this.#device)
    await rm(this.#directory, { recursive: true, force: true })
  }
}

/** Where the partition for data begins and how long it is, in bytes, as sfdisk makes it in a unit. */
async function partitionLike(image: string, script: string): Promise<{ start: string; size: string }> {
  const lines = [
    'label: gpt',
    `start=${headerPartitionFirstLba},size=${headerPartitionSectors}`,
    `start=${dataFirstLba},type=L`,
  ]
  await writeFile(script, `${lines.join('\n')}\n`)
  await run('sh', '-c', 'sfdisk -q --no-reread --no-tell-kernel "$1" < "$2"', 'sh', image, script)
  const dump = JSON.parse(await run('sfdisk', '--json', image)) as {
    partitiontable: { partitions: { start: number; size: number }[] }
  }
  const data = dump.partitiontable.partitions[1]
  if (data === undefined) throw new Error('sfdisk made no second partition')
  return { start: String(data.start * 512), size: String(data.size * 512) }
}
