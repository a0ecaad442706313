import type { ContractHandlers } from '#shared/contract/index.ts'
import type { ArrayConfig } from '#shared/domain/storage.ts'
import type { HostConfig } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { ArrayDriver, ArrayProbe } from '#main/drivers/arrays/contract.ts'
import type { HostDriver, HostProbe } from '#main/drivers/hosts/contract.ts'
import { now, type ServiceContext } from './context.ts'

const askTimeoutMs = 60_000

/** Drivers for devices that are not in the inventory yet. */
export interface Candidates {
  /** Chooses what is chosen once and kept, such as a free port. */
  settleArray(config: ArrayConfig): Promise<ArrayConfig>
  array(config: ArrayConfig): ArrayDriver
  host(config: HostConfig): HostDriver
}

type InventoryHandlers = Omit<
  Pick<ContractHandlers, Extract<keyof ContractHandlers, `inventory.${string}`>>,
  'inventory.listContainers' | 'inventory.showContainer'
>

export function createInventory(context: ServiceContext, candidates: Candidates): InventoryHandlers {
  const { store, devices } = context
  const signal = (): AbortSignal => AbortSignal.timeout(askTimeoutMs)

  const learnArray = async (driver: ArrayDriver): Promise<ArrayProbe> => {
    const probe = await driver.probe(signal())
    const failed = probe.checks.some(({ ok }) => !ok)
    const volumes = failed ? [] : await driver.listVolumes(signal())
    store.transaction(() => {
      store.arrays.put({
        config: driver.config,
        identity: probe.identity,
        learntAt: now(),
        learntHow: `array ${driver.config.name}: probe`,
      })
      if (!failed) store.volumes.replaceAll(driver.config.name, volumes)
    })
    context.inventoryChanged()
    return probe
  }
  const learnHost = async (driver: HostDriver): Promise<HostProbe> => {
    const probe = await driver.probe(signal())
    const { checks: _checks, ...facts } = probe
    store.hosts.put({
      config: driver.config,
      facts,
      learntAt: now(),
      learntHow: `host ${driver.config.name}: probe`,
    })
    context.inventoryChanged()
    return probe
  }

  return {
    'inventory.addArray': async (config) => {
      if (store.arrays.find(config.name) !== undefined) throw alreadyThere('array', config.name)
      return learnArray(candidates.array(await candidates.settleArray(config)))
    },
    'inventory.removeArray': async ({ name }) => {
      store.arrays.get(name)
      // first what serves it, while its configuration is still there; an array with LUNs is refused below
      if (store.luns.list(name).length === 0)
        await devices.array(name).stop?.({ force: false }).run({ signal: signal() })
      store.transaction(() => {
        // what the array holds is on the array; its LUNs and deployments are not forgotten
        for (const container of store.containers.list({ array: name })) store.containers.delete(container)
        store.arrays.delete(name)
      })
      context.inventoryChanged()
      return {}
    },
    'inventory.stopArray': async ({ name, force }) => {
      const { stop } = devices.array(name)
      if (stop === undefined)
        throw new AppError('not-supported', 'What serves this array is not the console’s to stop', {
          object: `array ${name}`,
          advice:
            'Only an embedded array is served by a process of Gantry; stop the service on the array itself.',
        })
      await stop({ force }).run({ signal: signal() })
      return {}
    },
    'inventory.probeArray': async ({ name }) => learnArray(devices.array(name)),
    'inventory.listArrays': async () =>
      store.arrays.list().map((entry) => ({ ...entry, volumes: store.volumes.list(entry.config.name) })),
    'inventory.addHost': async (config) => {
      if (store.hosts.find(config.name) !== undefined) throw alreadyThere('host', config.name)
      return learnHost(candidates.host(config))
    },
    'inventory.removeHost': async ({ name }) => {
      store.hosts.get(name)
      store.hosts.delete(name)
      context.inventoryChanged()
      return {}
    },
    'inventory.probeHost': async ({ name }) => learnHost(devices.host(name)),
    'inventory.listHosts': async () => store.hosts.list(),
    'inventory.listVolumes': async ({ array, refresh }) => {
      const driver = devices.array(array)
      if (refresh) store.volumes.replaceAll(array, await driver.listVolumes(signal()))
      return store.volumes.list(array)
    },
    'inventory.listLuns': async ({ array }) => {
      const names = new Map(store.luns.list(array).map(({ identity }) => [identity.serial, identity.name]))
      const luns = await devices.array(array).listLuns(signal())
      return luns.map((lun) => ({ ...lun, name: names.get(lun.serial) ?? lun.name }))
    },
    'inventory.listVms': async ({ host, refresh }) => {
      const driver = devices.host(host)
      if (refresh) store.vms.replaceAll(host, await driver.listVms(signal()))
      return store.vms.list(host)
    },
    'inventory.listDeployments': async () => store.deployments.list(),
    'inventory.readTemplate': async ({ host, source }) => context.readTemplate(host, source, signal()),
  }
}

const alreadyThere = (what: string, name: string): AppError =>
  new AppError(
    'bad-request',
    `There is ${what === 'array' ? 'an array' : 'a host'} named "${name}" already`,
    {
      object: `${what} ${name}`,
      advice: `Choose another name, or remove it first: gantry ${what} remove ${name}.`,
    },
  )
