import { randomUUID } from 'node:crypto'
import { constants, access, stat, truncate, writeFile, link } from 'node:fs/promises'
import { join } from 'node:path'
import type { Check, EmbeddedConfig } from '#shared/domain/storage.ts'
import { describeError } from '#shared/errors/user-text.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import { formatBytes, MiB } from '#shared/units/bytes.ts'
import type { DaemonAnswer } from './daemon-client.ts'
import { translateError } from './errors.ts'
import { requireFolder } from './objects.ts'
import { removeFile } from './publish.ts'
import { canShareBlocks, measureVolume } from './volumes.ts'

/** What is needed of each volume: a folder that can be written to, names that stay unique; and how copies are made. */
export async function checkVolumes(config: EmbeddedConfig): Promise<Check[]> {
  const checks = await Promise.all(
    Object.entries(config.settings.volumes).map(async ([name, folder]) => {
      const volume = await check(`volume ${name}`, async () => {
        await requireFolder(folder, `volume ${config.name}:${name}`)
        await access(folder, constants.R_OK | constants.W_OK)
        const { fileSystem, freeBytes } = await measureVolume(folder)
        return `${folder}: ${fileSystem}, ${formatBytes(freeBytes)} free`
      })
      return volume.ok ? [volume, await checkNames(name, folder), await checkCopies(name, folder)] : [volume]
    }),
  )
  return checks.flat()
}

/** Answers, and which LUNs it cannot serve. */
export async function checkServing(ask: () => Promise<DaemonAnswer>, log: string): Promise<Check[]> {
  const luns: Check[] = []
  const serving = await check('serving', async () => {
    const { state, greeting } = await ask()
    for (const { identity, problem, path } of state.luns)
      if (problem !== undefined)
        luns.push({
          name: `LUN ${identity.name}`,
          ok: false,
          detail: `${problem} (${path})`,
          advice: 'Mount the disk that holds it, then probe the array again.',
        })
    return `process ${greeting.pid} serves ${state.luns.length} LUN(s) on ${state.portal ?? 'no portal'}; log: ${log}`
  })
  return [serving, ...luns]
}

const checkNames = (name: string, folder: string): Promise<Check> =>
  check(`files ${name}`, async () => {
    const probe = join(folder, `.gantry-probe.${randomUUID()}`)
    try {
      await writeFile(probe, '', { flag: 'wx', mode: 0o600 })
      await link(probe, `${probe}.link`)
      await truncate(probe, MiB)
      const { blocks } = await stat(probe)
      return blocks * 512 < MiB
        ? 'names are unique; what is not written takes no room'
        : 'names are unique; objects take their full size at once (no sparse files here)'
    } finally {
      await removeFile(probe)
      await removeFile(`${probe}.link`)
    }
  })

/** No failure: everything works, but deployments cost time and room. */
const checkCopies = (name: string, folder: string): Promise<Check> =>
  check(`copies ${name}`, async () =>
    (await canShareBlocks(folder))
      ? 'clones share blocks: they cost no time and no room'
      : 'files cannot share blocks here: each deployment copies everything that is written in its container',
  )

async function check(name: string, look: () => Promise<string>): Promise<Check> {
  try {
    return { name, ok: true, detail: await look() }
  } catch (error) {
    const wire = encodeError(translateError(error, name))
    const [first = wire.message, ...rest] = describeError(wire)
    return { name, ok: false, detail: [first, ...rest.slice(0, -1)].join(' '), advice: rest.at(-1) ?? '' }
  }
}
