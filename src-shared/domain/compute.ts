import { z } from 'zod'
import { sshConnectionSchema } from './connection.ts'
import {
  initiatorNameSchema,
  instantSchema,
  learntHowSchema,
  nameSchema,
  remotePathSchema,
  uuidSchema,
} from './names.ts'
import { fileSystemTypeSchema, lunAddressSchema, objectRefSchema, osTypeSchema } from './storage.ts'

/** For VMs that bring no configuration: `auto` (default) is KVM where it works. */
const acceleratorSchema = z.enum(['auto', 'emulation'])

/** A Linux server with libvirt. */
export const libvirtHostConfigSchema = z.object({
  name: nameSchema,
  driver: z.literal('libvirt'),
  connection: sshConnectionSchema,
  settings: z.object({
    uri: z.string().default('qemu:///system'),
    /** Directory of Gantry on the host: mount points and the state of user-space attachments. */
    stateDir: remotePathSchema.default('/var/lib/gantry'),
    /** Portals as this host reaches them, by array name; default: the array's own. */
    portals: z.record(nameSchema, z.string()).default({}),
    /** Initiator name; default: what the host's own initiator says. */
    initiatorName: z.string().optional(),
    accelerator: acceleratorSchema.optional(),
  }),
})
export type LibvirtHostConfig = z.infer<typeof libvirtHostConfigSchema>

/** This computer with its own QEMU. */
export const embeddedHostConfigSchema = z.object({
  name: nameSchema,
  driver: z.literal('embedded'),
  settings: z.object({
    /** Initiator name; default: the console's own. */
    initiatorName: initiatorNameSchema.optional(),
    accelerator: acceleratorSchema.optional(),
  }),
})
export type EmbeddedHostConfig = z.infer<typeof embeddedHostConfigSchema>

/** A configured hypervisor host. */
export const hostConfigSchema = z.discriminatedUnion('driver', [
  libvirtHostConfigSchema,
  embeddedHostConfigSchema,
])
export type HostConfig = z.infer<typeof hostConfigSchema>

/** Portal of an array as the host reaches it; undefined: the array's own. */
export const portalOnHost = (config: HostConfig, array: string): string | undefined =>
  config.driver === 'embedded' ? undefined : config.settings.portals[array]

/**
 * `open-iscsi`: the kernel's initiator; `user-space`: qemu-nbd + nbdfuse + loop where the kernel has none;
 * `console`: the console's own initiator looks at the LUN, and the hypervisor opens it by itself.
 */
export const attachMethodSchema = z.enum(['open-iscsi', 'user-space', 'console'])
export type AttachMethod = z.infer<typeof attachMethodSchema>

export const vmStateSchema = z.enum(['running', 'paused', 'shut-off', 'crashed', 'other'])
export const vmDiskSchema = z.object({
  /** Target device in the guest: vda, sda ... */
  device: z.string(),
  /** file: a VHD in a file; block: a host's device; network: opened by the hypervisor itself. */
  type: z.enum(['file', 'block', 'network', 'other']),
  source: z.string(),
  format: z.string(),
})
export const vmSchema = z.object({
  host: nameSchema,
  uuid: uuidSchema,
  name: z.string(),
  state: vmStateSchema,
  memoryBytes: z.number(),
  cpus: z.int(),
  disks: z.array(vmDiskSchema),
  learntAt: instantSchema,
  learntHow: learntHowSchema,
})
export type Vm = z.infer<typeof vmSchema>

export const imageFormatSchema = z.enum(['raw', 'qcow2', 'vhd', 'vhdx', 'vmdk'])
export type ImageFormat = z.infer<typeof imageFormatSchema>
export const firmwareSchema = z.enum(['bios', 'uefi'])
/** How a guest sees its disks when no configuration says it; sata works without drivers of the hypervisor. */
export const diskBusSchema = z.enum(['virtio', 'sata'])

/** What to run an image with that brings no configuration of its own. */
export const imageHardwareSchema = z.object({
  memoryBytes: z.number().positive(),
  cpus: z.int().min(1).max(512),
  firmware: firmwareSchema.default('bios'),
  /** Default: virtio. */
  diskBus: diskBusSchema.optional(),
})

/** Files that the console reads: of this computer, or of a server over SFTP. */
const consolePlaceSchema = z.union([z.literal('console'), z.object({ server: sshConnectionSchema })])
export type ConsolePlace = z.infer<typeof consolePlaceSchema>
const filePlaceSchema = z.union([z.literal('host'), consolePlaceSchema])

/** Where VM data comes from. `on: host` is read on the staging host, everything else of files by the console. */
export const templateSourceSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('domain'), domain: z.string().min(1) }),
  z.object({ kind: z.literal('folder'), on: filePlaceSchema, path: z.string().min(1) }),
  z.object({
    kind: z.literal('image'),
    on: filePlaceSchema,
    paths: z.array(z.string().min(1)).min(1).max(16),
    hardware: imageHardwareSchema,
  }),
  z.object({ kind: z.literal('ovf'), on: consolePlaceSchema, path: z.string().min(1) }),
])
export type TemplateSource = z.infer<typeof templateSourceSchema>

export const vmConfigurationSchema = z.object({ format: z.literal('libvirt-xml'), text: z.string() })
export type VmConfiguration = z.infer<typeof vmConfigurationSchema>

export const templateFileSchema = z.object({
  /** Where it is read from (path on the source's computer), or the entry's name in an archive. */
  source: z.string(),
  /** Name in the container's file system; no slash. */
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/),
  sizeBytes: z.number(),
  disk: z.object({ index: z.int(), format: imageFormatSchema, virtualSizeBytes: z.number() }).optional(),
})
export type TemplateFile = z.infer<typeof templateFileSchema>

/** A template as it was read: everything that staging needs to know before it touches a device. */
export const templateSchema = z.object({
  source: templateSourceSchema,
  name: z.string(),
  vm: z.object({
    name: z.string(),
    uuid: uuidSchema.optional(),
    memoryBytes: z.number(),
    cpus: z.int(),
    firmware: firmwareSchema,
    diskBus: diskBusSchema.optional(),
  }),
  configuration: vmConfigurationSchema,
  files: z.array(templateFileSchema).min(1),
  /** What the user should know: disks that may grow, things that were left out. */
  warnings: z.array(z.string()),
})
export type Template = z.infer<typeof templateSchema>

export const deploymentSchema = z.object({
  name: nameSchema,
  host: nameSchema,
  container: z.object({ array: nameSchema, volume: nameSchema, name: nameSchema, unitId: uuidSchema }),
  /** The LUN's backing: the clone, or the container itself when deployed directly. */
  backing: objectRefSchema,
  snapshot: objectRefSchema.optional(),
  lun: lunAddressSchema,
  initiator: z.string(),
  vm: z.object({ name: z.string(), uuid: uuidSchema }),
  /** File on the host that the serial console is logged to. */
  consoleLog: z.string(),
  osType: osTypeSchema,
  deployedAt: instantSchema,
})
export type Deployment = z.infer<typeof deploymentSchema>

/** What is needed, beside the deployment, to bring it up again on a host that was restarted or made anew. */
export const deploymentRecipeSchema = z.object({
  /** Absent in the layout `disks`: nothing is mounted. */
  fileSystem: fileSystemTypeSchema.optional(),
  /** Whether it was started when it was deployed. */
  started: z.boolean(),
  /** The VM as it was registered; `consoleLog`: file on the host. */
  vm: z.object({
    name: z.string(),
    uuid: uuidSchema,
    configuration: vmConfigurationSchema,
    macAddresses: z.array(z.string()),
    consoleLog: z.string(),
  }),
})
export type DeploymentRecipe = z.infer<typeof deploymentRecipeSchema>
