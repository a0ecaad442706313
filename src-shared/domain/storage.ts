import { z } from 'zod'
import { secretSourceSchema, sshConnectionSchema } from './connection.ts'
import {
  instantSchema,
  learntHowSchema,
  localPathSchema,
  nameSchema,
  remotePathSchema,
  uuidSchema,
} from './names.ts'

/** osType decides alignment, partition types and where a container may be deployed (A3, A13). */
export const osTypes = ['linux', 'windows', 'vmware'] as const
export const osTypeSchema = z.enum(osTypes)
export type OsType = z.infer<typeof osTypeSchema>

export const fileSystemTypeSchema = z.enum(['ext4', 'xfs', 'ntfs'])
export type FileSystemType = z.infer<typeof fileSystemTypeSchema>

/** One thing that a probe looked at: a tool, a right, a service. `advice` says what to do when it is not there. */
export const checkSchema = z.object({
  name: z.string(),
  ok: z.boolean(),
  detail: z.string(),
  advice: z.string().optional(),
})
export type Check = z.infer<typeof checkSchema>

export const arrayIdentitySchema = z.object({
  vendor: z.string(),
  product: z.string(),
  version: z.string(),
  serial: z.string(),
})

/** Portal that hosts log in to, host:port. */
const portalSchema = z.string().regex(/^[A-Za-z0-9_.:[\]-]+:\d{1,5}$/, 'use host:port')

/** CRC-32C over each header, or over all data, of an iSCSI session. */
export const digestSchema = z.enum(['header', 'data'])

const targetSettings = {
  /** The console's own sessions ask for them, and end where the target does not use them. */
  digests: z.array(digestSchema).optional(),
  /** Prefix of the target names that Gantry makes. */
  iqnPrefix: z
    .string()
    .regex(/^iqn\.\d{4}-\d{2}\.[a-z0-9.-]+$/)
    .default('iqn.2026-11.gantry.array'),
  /** The most LUNs a volume may have (A17). */
  lunLimitPerVolume: z.int().min(1).max(4096).default(256),
}

/** A Linux server with tgt. `volumes` are the directories named by the user; name -> path. */
export const linuxStorageConfigSchema = z.object({
  name: nameSchema,
  driver: z.literal('linux-storage'),
  connection: sshConnectionSchema,
  settings: z.object({
    volumes: z.record(nameSchema, remotePathSchema),
    portal: portalSchema,
    /** Control port of tgtd, `tgtadm -C`; default 0. */
    tgtControlPort: z.int().min(0).max(32767).default(0),
    ...targetSettings,
  }),
})
export type LinuxStorageConfig = z.infer<typeof linuxStorageConfigSchema>

/** What initiators must prove to log in (CHAP); the secret itself is fetched when it is needed and stored nowhere. */
export const chapLoginSchema = z.object({
  user: z
    .string()
    .min(1)
    .max(128)
    .regex(/^[\x21-\x7e]+$/, 'a CHAP user is ASCII without blanks'),
  password: secretSourceSchema,
})
export type ChapLogin = z.infer<typeof chapLoginSchema>

/** This computer as an array. `volumes` are folders of it; name -> path. */
export const embeddedConfigSchema = z.object({
  name: nameSchema,
  driver: z.literal('embedded'),
  settings: z
    .object({
      volumes: z.record(nameSchema, localPathSchema),
      /** Where the LUNs are served. Port 0: a free one is chosen when the array is added, and kept. */
      portal: portalSchema.default('127.0.0.1:0'),
      /** Needed where the portal can be reached from other computers. */
      login: chapLoginSchema.optional(),
      /** The user's word that other computers may reach the portal. */
      openToNetwork: z.boolean().default(false),
      ...targetSettings,
    })
    .refine(
      ({ portal, login, openToNetwork }) => isLoopback(portal) || (openToNetwork && login !== undefined),
      'a portal that other computers can reach needs the word for it and a login',
    ),
})
export type EmbeddedConfig = z.infer<typeof embeddedConfigSchema>

/** A configured array. */
export const arrayConfigSchema = z.discriminatedUnion('driver', [
  linuxStorageConfigSchema,
  embeddedConfigSchema,
])
export type ArrayConfig = z.infer<typeof arrayConfigSchema>

/** What initiators must log in with; undefined: their name alone. */
export const loginOfArray = (config: ArrayConfig): ChapLogin | undefined =>
  config.driver === 'embedded' ? config.settings.login : undefined

/** Whether a portal, host:port, can be reached from this computer alone. */
export const isLoopback = (portal: string): boolean =>
  /^(127(\.\d{1,3}){3}|\[::1\]|localhost):\d+$/.test(portal)

export const volumeSchema = z.object({
  array: nameSchema,
  name: nameSchema,
  path: z.union([remotePathSchema, localPathSchema]),
  fileSystem: z.string(),
  canReflink: z.boolean(),
  sizeBytes: z.number(),
  usedBytes: z.number(),
  freeBytes: z.number(),
  lunCount: z.int(),
  lunLimit: z.int(),
  learntAt: instantSchema,
  learntHow: learntHowSchema,
})
export type Volume = z.infer<typeof volumeSchema>

/** `snapshot` is read-only and taken from a container; `clone` is writable and taken from a snapshot. */
export const objectKindSchema = z.enum(['container', 'snapshot', 'clone'])
export const objectRefSchema = z.object({ volume: nameSchema, kind: objectKindSchema, name: nameSchema })
/** A file on a volume: costs no LUN until one is made from it. */
export type ObjectRef = z.infer<typeof objectRefSchema>

export const objectFactsSchema = objectRefSchema.extend({
  sizeBytes: z.number(),
  allocatedBytes: z.number(),
  /** Bytes that no other object shares; undefined where the array cannot tell. */
  uniqueBytes: z.number().optional(),
  /** Id of the job that made it; undefined: not made by Gantry. */
  mark: z.string().optional(),
})
export type ObjectFacts = z.infer<typeof objectFactsSchema>

/** The LUN's identity, chosen before it is made. serial: at most 36 characters; naa: 32 hex digits beginning with 6. */
export const lunIdentitySchema = z.object({
  name: nameSchema,
  target: z.string(),
  lun: z.int().min(0),
  serial: z.string().max(36),
  naa: z.string().regex(/^6[0-9a-f]{31}$/),
})
export type LunIdentity = z.infer<typeof lunIdentitySchema>

export const lunFactsSchema = lunIdentitySchema.extend({
  array: nameSchema,
  backing: objectRefSchema.optional(),
  backingPath: z.string(),
  sizeBytes: z.number(),
  /** Initiator names that may log in. */
  mappedTo: z.array(z.string()),
  /** Initiator names that are logged in now. */
  sessions: z.array(z.string()),
  /** Made by Gantry. */
  ours: z.boolean(),
})
export type LunFacts = z.infer<typeof lunFactsSchema>

/** What a host needs to log in to a LUN and to recognise it. */
export const lunAddressSchema = lunIdentitySchema.extend({
  /** host:port as the host reaches it. */
  portal: z.string(),
})
export type LunAddress = z.infer<typeof lunAddressSchema>

/** ok: one copy of the header verifies; damaged: a unit whose header does not; newer: of a newer format; empty: no unit. */
export const unitStateSchema = z.enum(['ok', 'damaged', 'newer', 'empty'])

/** A container as last read; what its header tells is there only when the state is ok. */
export const containerSchema = z.object({
  array: nameSchema,
  volume: nameSchema,
  name: nameSchema,
  sizeBytes: z.number(),
  state: unitStateSchema,
  staged: z
    .object({
      unitId: uuidSchema,
      osType: osTypeSchema,
      /** Absent in the layout `disks`. */
      fileSystem: fileSystemTypeSchema.optional(),
      templateName: z.string(),
      stagedAt: instantSchema,
    })
    .optional(),
  learntAt: instantSchema,
  learntHow: learntHowSchema,
})
export type Container = z.infer<typeof containerSchema>
