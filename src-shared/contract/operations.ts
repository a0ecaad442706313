import { z } from 'zod'
import { imageHardwareSchema, templateSourceSchema } from '../domain/compute.ts'
import { plannedStepSchema } from '../domain/job.ts'
import { initiatorNameSchema, nameSchema } from '../domain/names.ts'
import { lunAtPortalSchema, unitDeviceSchema } from '../domain/unit-device.ts'
import { fileSystemTypeSchema, objectKindSchema, osTypeSchema } from '../domain/storage.ts'
import { call } from './define.ts'

const containerRef = { array: nameSchema, volume: nameSchema, container: nameSchema }
const lunRef = { array: nameSchema, lun: nameSchema }
/**
 * B13: start the VM although another has the lock of its unit; the caller has confirmed that no host runs it. A list:
 * only the locks that a plan has named (`breaksLock`); true: the one that is there when it is planned.
 */
const breakLock = { breakLock: z.union([z.boolean(), z.array(z.string())]).default(false) }

/** A1-A8: template -> container. */
export const stageSchema = z.object({
  kind: z.literal('stage'),
  ...containerRef,
  host: nameSchema,
  source: templateSourceSchema,
  fileSystem: fileSystemTypeSchema.default('ext4'),
  osType: osTypeSchema.default('linux'),
  partitionTable: z.enum(['gpt', 'mbr']).default('gpt'),
  /** Room beyond the VM data, per cent (A1). */
  headroomPercent: z.number().min(0).max(1000).default(10),
  /** Size of the container, instead of the computed one. */
  sizeBytes: z.number().positive().optional(),
  notes: z.string().max(4000).default(''),
})

/** A1-A8 without a host: images of this computer -> container of the layout `disks`. */
export const stageDisksSchema = z.object({
  kind: z.literal('stage-disks'),
  ...containerRef,
  source: templateSourceSchema,
  osType: osTypeSchema.default('linux'),
  /** The array's portal as this console reaches it; default: the array's own. */
  portal: z.string().min(1).max(300).optional(),
  notes: z.string().max(4000).default(''),
})

export const readySignSchema = z.discriminatedUnion('kind', [
  /** In the text "{name}" and "{uuid}" stand for those of the VM. */
  z.object({ kind: z.literal('serial'), text: z.string().min(1).max(200) }),
  z.object({ kind: z.literal('agent') }),
])

/** A9-A14: container -> VMs. */
export const deploySchema = z.object({
  kind: z.literal('deploy'),
  ...containerRef,
  host: nameSchema,
  count: z.int().min(1).max(1000).default(1),
  /** "{n}" is the number, "{n:03}" with leading zeros; names that are taken are skipped. */
  namePattern: z.string().min(1).max(80),
  start: z.boolean().default(false),
  wait: readySignSchema.optional(),
  waitTimeoutMs: z.int().positive().default(300_000),
  /** Use the container itself instead of a clone of a snapshot (A12); the caller has confirmed it. */
  direct: z.boolean().default(false),
  /** Read the disks back from each LUN and compare them with the container's checksums; of the layout `disks` only. */
  verify: z.boolean().default(false),
  ...breakLock,
})

/** A15. */
export const decommissionSchema = z.object({
  kind: z.literal('decommission'),
  deployments: z.array(nameSchema).min(1),
})

/** Container -> folder of the computer that the console runs on. */
export const exportSchema = z.object({
  kind: z.literal('export'),
  ...containerRef,
  host: nameSchema,
  /** Absolute path of a folder that is not there yet. */
  folder: z.string().min(1).max(4096),
})

/** After a restart of a host: deployments are attached, mounted, registered and started again, as far as they lack it. */
export const restoreDeploymentsSchema = z.object({
  kind: z.literal('restore-deployments'),
  /** Those of this host; with names too, only those of them that are on it. */
  host: nameSchema.optional(),
  /** Empty: all of the host. */
  deployments: z.array(nameSchema).default([]),
  /** deployed: those that were started when they were deployed. */
  start: z.enum(['deployed', 'all', 'none']).default('deployed'),
  ...breakLock,
})

/** The single steps of A18. */
export const singleStepSchemas = [
  z.object({ kind: z.literal('create-container'), ...containerRef, sizeBytes: z.number().positive() }),
  z.object({ kind: z.literal('delete-container'), ...containerRef }),
  z.object({
    kind: z.literal('create-lun'),
    ...lunRef,
    volume: nameSchema,
    object: z.object({ kind: objectKindSchema, name: nameSchema }),
    osType: osTypeSchema.default('linux'),
  }),
  z.object({ kind: z.literal('map-lun'), ...lunRef, initiator: initiatorNameSchema }),
  z.object({ kind: z.literal('unmap-lun'), ...lunRef, initiator: initiatorNameSchema }),
  z.object({ kind: z.literal('destroy-lun'), ...lunRef }),
  /** Re-creates the LUNs that the inventory knows and the array has lost. */
  z.object({ kind: z.literal('restore-luns'), array: nameSchema }),
] as const

/** Work on a unit without any host: the console reads and writes it by itself. */
export const unitWorkSchemas = [
  /** Compares each disk with the checksum in the header. */
  z.object({ kind: z.literal('verify-unit'), device: unitDeviceSchema }),
  /** Reads a disk into a new raw file of this computer. */
  z.object({
    kind: z.literal('export-disk'),
    device: unitDeviceSchema,
    disk: z.int().min(0),
    path: z.string().min(1).max(4096),
  }),
  /** Makes the copies of partition table and header whole again; the caller has confirmed it. */
  z.object({ kind: z.literal('repair-unit'), device: unitDeviceSchema }),
  /** Images of this computer -> a unit of the layout `disks` on an empty device. */
  z.object({
    kind: z.literal('write-unit'),
    device: unitDeviceSchema,
    images: z.array(z.string().min(1)).min(1).max(16),
    /** Disks, by the place of their images, that get a unit on a LUN of their own at the same portal. */
    secondaries: z.array(lunAtPortalSchema.extend({ index: z.int().min(0) })).default([]),
    name: nameSchema,
    hardware: imageHardwareSchema,
    osType: osTypeSchema.default('linux'),
    /** Room for the VM's state; default: its memory. */
    stateBytes: z.number().positive().optional(),
    /** The device reads as zeros everywhere, so zeros need not be written; the caller knows that. */
    isZeroed: z.boolean().default(false),
    notes: z.string().max(4000).default(''),
  }),
] as const

export const operationSchema = z.discriminatedUnion('kind', [
  stageSchema,
  stageDisksSchema,
  deploySchema,
  decommissionSchema,
  exportSchema,
  restoreDeploymentsSchema,
  ...singleStepSchemas,
  ...unitWorkSchemas,
])
export type Operation = z.infer<typeof operationSchema>
export type OperationInput = z.input<typeof operationSchema>
export type SingleStep = z.infer<(typeof singleStepSchemas)[number]>
export type UnitWork = z.infer<(typeof unitWorkSchemas)[number]>
export type OperationOf<Kind extends Operation['kind']> = Extract<Operation, { kind: Kind }>

export const plannedJobSchema = z.object({
  title: z.string(),
  steps: z.array(plannedStepSchema),
  /** What the user should know before starting. */
  warnings: z.array(z.string()),
  /** Bytes that will be moved through the host or the console. */
  bytesToMove: z.number(),
  /** Whose lock is broken (B13). */
  breaksLock: z.string().optional(),
})
export type PlannedJob = z.infer<typeof plannedJobSchema>

export const operationCalls = {
  /** Works out the jobs and sends nothing that changes anything. */
  'operations.plan': call(operationSchema, z.array(plannedJobSchema)),
  /** Plans, commits the plans to the journal and starts the jobs; their progress comes as events. */
  'operations.start': call(
    operationSchema,
    z.object({
      jobIds: z.array(z.string()),
      /** Of all their plans, as in operations.plan. */
      warnings: z.array(z.string()),
    }),
  ),
}
