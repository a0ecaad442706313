import type { HostConfig } from './compute.ts'
import type { ArrayConfig } from './storage.ts'

/** Where an array or a host is, for people. Without schemas, which the page does not carry. */
export const placeOfArray = (config: ArrayConfig): string =>
  config.driver === 'embedded' ? 'this computer, no storage hardware' : config.connection.host

export const placeOfHost = (config: HostConfig): string =>
  config.driver === 'embedded' ? 'this computer' : config.connection.host
