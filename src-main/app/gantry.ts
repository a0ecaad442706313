import { createApi } from '#main/api/api.ts'
import type { Api } from '#main/api/api.ts'
import { createEventHub } from '#main/api/event-hub.ts'
import type { ContractHandlers } from '#shared/contract/index.ts'
import { AppError } from '#shared/errors/app-error.ts'

export interface GantryOptions {
  /** Database, known_hosts and settings lie here. */
  readonly dataDir: string
  readonly env: NodeJS.ProcessEnv
  /** Asks the person for a secret; undefined: there is nobody to ask, or the person gave up. */
  readonly prompt?: (label: string, signal: AbortSignal) => Promise<string | undefined>
}

export interface Gantry {
  readonly api: Api
  /** Brings jobs that an earlier process left behind to an end. */
  recover(): Promise<void>
  close(): Promise<void>
}

/** Stand-in with an empty inventory until the services are there. */
export function createGantry(_options: GantryOptions): Promise<Gantry> {
  const absent = (): Promise<never> =>
    Promise.reject(new AppError('not-supported', 'The core is not built in'))
  const empty = (): Promise<[]> => Promise.resolve([])
  const handlers: ContractHandlers = {
    'connections.inspectHostKey': absent,
    'connections.trustHostKey': absent,
    'inventory.addArray': absent,
    'inventory.removeArray': absent,
    'inventory.probeArray': absent,
    'inventory.listArrays': empty,
    'inventory.addHost': absent,
    'inventory.removeHost': absent,
    'inventory.probeHost': absent,
    'inventory.listHosts': empty,
    'inventory.listVolumes': empty,
    'inventory.listContainers': empty,
    'inventory.showContainer': absent,
    'inventory.listLuns': empty,
    'inventory.listVms': empty,
    'inventory.listDeployments': empty,
    'inventory.readTemplate': absent,
    'operations.plan': absent,
    'operations.start': absent,
    'jobs.list': empty,
    'jobs.get': absent,
    'jobs.resume': absent,
    'jobs.undo': absent,
    'jobs.cancel': absent,
    'jobs.close': absent,
  }
  const api = createApi({ handlers, events: createEventHub() })
  return Promise.resolve({ api, recover: () => Promise.resolve(), close: () => Promise.resolve() })
}
