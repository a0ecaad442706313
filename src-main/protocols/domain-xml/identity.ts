import { randomBytes } from 'node:crypto'

/** Random, with the prefix that QEMU and libvirt use for their VMs; unicast, locally administered. */
export const newMacAddress = (): string =>
  ['52:54:00', ...(randomBytes(3).toString('hex').match(/../g) ?? [])].join(':')

/** Namespace of our element in `<metadata>`. */
export const metadataNamespace = 'urn:gantry:libvirt:1'
export const metadataPrefix = 'gantry'
