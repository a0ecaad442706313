/**
 * The file that libvirt logs a VM's serial console to. In libvirt's own log directory, the one place where its log
 * daemon may write under SELinux; not ".log", which would be rotated under a reader.
 */
export const consoleLogOf = (uuid: string): string => `/var/log/libvirt/qemu/gantry-${uuid}.console`
