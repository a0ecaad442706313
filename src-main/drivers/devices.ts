import type { ArrayDriver } from './arrays/contract.ts'
import type { HostDriver } from './hosts/contract.ts'

/** The configured devices by name. Throws not-found for a name that is not configured. Opens no connection. */
export interface Devices {
  array(name: string): ArrayDriver
  host(name: string): HostDriver
}
