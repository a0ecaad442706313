import { AppError } from '#shared/errors/app-error.ts'
import type { Client } from './client.ts'

export interface ContainerReference {
  readonly array: string
  readonly volume: string
  readonly container: string
}

/** "ARRAY/VOLUME/NAME" of a container that need not be there yet. Throws bad-request. */
export function parseContainer(text: string): ContainerReference {
  const [array = '', volume = '', container = '', ...more] = text.split('/')
  if (array === '' || volume === '' || container === '' || more.length > 0)
    throw new AppError('bad-request', `"${text}" does not name a container`, {
      advice: 'Write it as ARRAY/VOLUME/NAME.',
    })
  return { array, volume, container }
}

/** A container by its full name, or by NAME alone where only one of the known ones has it. */
export async function findContainer(client: Client, text: string): Promise<ContainerReference> {
  if (text.includes('/')) return parseContainer(text)
  const found = (await client.call('inventory.listContainers', {})).filter(({ name }) => name === text)
  const [only] = found
  if (only !== undefined && found.length === 1)
    return { array: only.array, volume: only.volume, container: only.name }
  const object = `container ${text}`
  if (only === undefined)
    throw new AppError('not-found', 'No known container has this name', {
      object,
      advice: 'Name it as ARRAY/VOLUME/NAME, or let "gantry containers list --refresh" look for it.',
    })
  throw new AppError('bad-request', 'Several containers have this name', {
    object,
    facts: { found: found.map(({ array, volume, name }) => `${array}/${volume}/${name}`).join(', ') },
    advice: 'Name it as ARRAY/VOLUME/NAME.',
  })
}

/** "ARRAY/LUN". Throws bad-request. */
export function parseLun(text: string): { array: string; lun: string } {
  const [array = '', lun = '', ...more] = text.split('/')
  if (array === '' || lun === '' || more.length > 0)
    throw new AppError('bad-request', `"${text}" does not name a LUN`, { advice: 'Write it as ARRAY/LUN.' })
  return { array, lun }
}

/** A job by its id or by the beginning of it. */
export async function findJob(client: Client, text: string): Promise<string> {
  const ids = (await client.call('jobs.list', {})).map(({ id }) => id)
  if (ids.includes(text)) return text
  const found = text === '' ? [] : ids.filter((id) => id.startsWith(text))
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  const object = `job ${text}`
  if (only === undefined) throw new AppError('not-found', 'There is no such job', { object })
  throw new AppError('bad-request', 'Several jobs begin like this', {
    object,
    facts: { found: found.join(', ') },
    advice: 'Write more of the id.',
  })
}
