import type { Container, ObjectFacts } from '#shared/domain/storage.ts'
import type { ContractHandlers, OutputOf } from '#shared/contract/index.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import type { Unit } from '#main/protocols/unit/unit.ts'
import { now, type ServiceContext } from './context.ts'
import { readUnit } from './read-unit.ts'

const readTimeoutMs = 60_000

type ContainerHandlers = Pick<ContractHandlers, 'inventory.listContainers' | 'inventory.showContainer'>

/** Containers as the arrays hold them: the files themselves are the truth, the inventory is the copy (A8). */
export function createContainers(context: ServiceContext): ContainerHandlers {
  return {
    'inventory.listContainers': async ({ array, volume, refresh }) => {
      const arrays =
        array === undefined ? context.store.arrays.list().map(({ config }) => config.name) : [array]
      if (refresh) await refreshAll(context, arrays)
      return context.store.containers.list({ array, volume })
    },
    'inventory.showContainer': async ({ array: name, volume, container }) => {
      const array = context.devices.array(name)
      const ref = { volume, kind: 'container' as const, name: container }
      const signal = AbortSignal.timeout(readTimeoutMs)
      // the list alone tells unique bytes
      const [objects, { sizeBytes, unit }] = await Promise.all([
        array.listObjects(volume, signal),
        readUnit(array, ref, signal),
      ])
      const facts = objects.find((found) => found.kind === ref.kind && found.name === container)
      return details(facts ?? { ...ref, sizeBytes, allocatedBytes: 0 }, unit)
    },
  }
}

function details(facts: ObjectFacts, unit: Unit): OutputOf<'inventory.showContainer'> {
  const { state, problems } = unit
  return {
    facts,
    state,
    problems: [...problems],
    ...(unit.header === undefined ? {} : { header: unit.header }),
    ...(unit.generation === undefined ? {} : { generation: unit.generation }),
  }
}

/** An array that cannot be asked keeps no other from being asked; what is wrong with it is thrown afterwards. */
async function refreshAll(context: ServiceContext, arrays: readonly string[]): Promise<void> {
  const asked = await Promise.allSettled(arrays.map((name) => refreshContainers(context, name)))
  context.inventoryChanged()
  const failed = asked.find((answer) => answer.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

async function refreshContainers(context: ServiceContext, name: string): Promise<void> {
  const array = context.devices.array(name)
  const signal = AbortSignal.timeout(readTimeoutMs)
  await Promise.all(
    Object.keys(array.config.settings.volumes).map(async (volume) => {
      const objects = await array.listObjects(volume, signal)
      const containers = objects.filter(({ kind }) => kind === 'container')
      const read = await Promise.all(containers.map((facts) => readContainer(array, facts, signal)))
      context.store.containers.replaceAll(name, volume, read)
    }),
  )
}

async function readContainer(
  array: ArrayDriver,
  facts: ObjectFacts,
  signal: AbortSignal,
): Promise<Container> {
  const { unit } = await readUnit(array, facts, signal)
  const staged =
    unit.state === 'ok' && unit.header !== undefined
      ? {
          staged: {
            unitId: unit.header.unitId,
            osType: unit.header.osType,
            ...(unit.header.fileSystem && { fileSystem: unit.header.fileSystem.type }),
            templateName: unit.header.vm.name,
            stagedAt: unit.header.stagedAt,
          },
        }
      : {}
  return {
    array: array.config.name,
    volume: facts.volume,
    name: facts.name,
    sizeBytes: facts.sizeBytes,
    state: unit.state,
    ...staged,
    learntAt: now(),
    learntHow: `array ${array.config.name}: readObject`,
  }
}
