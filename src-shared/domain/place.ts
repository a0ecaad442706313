import type { ConsolePlace, HostConfig } from './compute.ts'
import type { SshConnection } from './connection.ts'
import type { ArrayConfig } from './storage.ts'

/** Where an array or a host is, for people. Without schemas, which the page does not carry. */
export const placeOfArray = (config: ArrayConfig): string =>
  config.driver === 'embedded' ? 'this computer, no storage hardware' : config.connection.host

export const placeOfHost = (config: HostConfig): string =>
  config.driver === 'embedded' ? 'this computer' : config.connection.host

/** Where files lie that the console reads: "this computer", "server root@files1:2222". */
export const placeOfFiles = (on: ConsolePlace): string =>
  on === 'console' ? 'this computer' : `server ${addressOf(on.server)}`

/** As {@link placeOfFiles}, where it is read on another computer: in a container. */
export const placeForOthers = (on: ConsolePlace): string =>
  on === 'console' ? 'the console' : placeOfFiles(on)

const addressOf = ({ user, host, port }: SshConnection): string =>
  `${user === undefined ? '' : `${user}@`}${host}${port === undefined ? '' : `:${port}`}`
