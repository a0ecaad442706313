import { join } from 'node:path'
import type { HostConfig } from '#shared/domain/compute.ts'
import type { ArrayConfig } from '#shared/domain/storage.ts'
import type { ArrayDriver } from '#main/drivers/arrays/contract.ts'
import { createLinuxStorageArray } from '#main/drivers/arrays/linux-storage/driver.ts'
import { createEmbeddedArray } from '#main/drivers/arrays/embedded/driver.ts'
import { choosePort } from '#main/drivers/arrays/embedded/portal.ts'
import type { ChapSecrets } from '#main/drivers/chap-secrets.ts'
import type { Devices } from '#main/drivers/devices.ts'
import type { HostDriver } from '#main/drivers/hosts/contract.ts'
import { createEmbeddedHost, type ThisComputer } from '#main/drivers/hosts/embedded/driver.ts'
import { createLibvirtHost } from '#main/drivers/hosts/libvirt/driver.ts'
import type { Candidates } from '#main/services/inventory.ts'
import type { Store } from '#main/store/store.ts'
import type { SshPool } from '#main/transports/ssh/contract.ts'
import { productVersion } from './version.ts'

/** What drivers are made from. */
export interface DriverParts {
  readonly store: Store
  readonly ssh: SshPool
  readonly secrets: ChapSecrets
  readonly computer: Omit<ThisComputer, 'secrets'>
}

/** Drivers of the configured devices, made once for each configuration. */
export function createDevices({
  store,
  ssh,
  secrets,
  computer,
}: DriverParts): Devices & { candidates: Candidates } {
  const candidates: Candidates = {
    settleArray: async (config) => (config.driver === 'embedded' ? choosePort(config) : config),
    array(config) {
      switch (config.driver) {
        case 'linux-storage':
          return createLinuxStorageArray(config, ssh.session(`array ${config.name}`, config.connection))
        case 'embedded':
          return createEmbeddedArray(config, {
            folder: join(computer.dataDir, 'arrays', config.name),
            productVersion,
            secrets,
          })
      }
    },
    host: (config) =>
      config.driver === 'embedded'
        ? createEmbeddedHost(config, { ...computer, secrets })
        : createLibvirtHost(config, ssh.session(`host ${config.name}`, config.connection), secrets),
  }
  const arrays = new Map<string, ArrayDriver>()
  const hosts = new Map<string, HostDriver>()
  return {
    candidates,
    array: (name) => cached(arrays, store.arrays.get(name).config, (config) => candidates.array(config)),
    host: (name) => cached(hosts, store.hosts.get(name).config, (config) => candidates.host(config)),
  }
}

function cached<C extends ArrayConfig | HostConfig, D>(
  made: Map<string, D>,
  config: C,
  make: (config: C) => D,
): D {
  const key = JSON.stringify(config)
  const driver = made.get(key) ?? make(config)
  made.set(key, driver)
  return driver
}
