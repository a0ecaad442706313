import { randomBytes } from 'node:crypto'

/** Random, with the prefix that QEMU and libvirt use for their VMs; unicast, locally administered. */
export const newMacAddress = (): string =>
  ['52:54:00', ...(randomBytes(3).toString('hex').match(/../g) ?? [])].join(':')

/**
 * The file that libvirt logs a VM's serial console to. In libvirt's own log directory, the one place where its log
 * daemon may write under SELinux; not ".log", which would be rotated under a reader.
 */
export const consoleLogOf = (uuid: string): string => `/var/log/libvirt/qemu/gantry-${uuid}.console`

/** Namespace of our element in `<metadata>`. */
export const metadataNamespace = 'urn:gantry:libvirt:1'
export const metadataPrefix = 'gantry'
