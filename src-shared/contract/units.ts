import { z } from 'zod'
import { instantSchema } from '../domain/names.ts'
import { portalLoginSchema, unitDeviceSchema } from '../domain/unit-device.ts'
import { unitHeaderSchema } from '../domain/unit-header.ts'
import { wireErrorSchema } from '../errors/wire-error.ts'
import { call } from './define.ts'

/** What a LUN says of itself by INQUIRY (D2). */
export const lunFactsInBandSchema = z.object({
  vendor: z.string(),
  product: z.string(),
  revision: z.string(),
  serial: z.string().optional(),
  /** Its names of VPD page 83h, the best first: "naa.6001405...". */
  scsiIds: z.array(z.string()),
})
export type LunFactsInBand = z.infer<typeof lunFactsInBandSchema>

/** See protocols/lun/classify. */
export const lunKindSchema = z.enum(['vm', 'container', 'newer', 'damaged', 'boot', 'other', 'empty'])

export const unitLockSchema = z.object({ owner: z.string(), bootId: z.string(), takenAt: instantSchema })
export const unitLockStateSchema = z.discriminatedUnion('state', [
  z.object({ state: z.literal('free') }),
  z.object({
    state: z.literal('held'),
    lock: unitLockSchema,
    /** The owner is a VM of this computer, and its process is not there any more. */
    isGone: z.boolean(),
  }),
  z.object({ state: z.literal('damaged'), problem: z.string() }),
])

const partitionSchema = z.object({
  number: z.int(),
  type: z.string(),
  name: z.string().optional(),
  firstLba: z.number(),
  sectors: z.number(),
})

export const unitReportSchema = z.object({
  /** "file /srv/web.ctr", "LUN 1 of iqn... at 192.0.2.10:3260". */
  device: z.string(),
  sizeBytes: z.number(),
  lun: lunFactsInBandSchema.optional(),
  kind: lunKindSchema,
  /** Of what is no unit: the boot signs, tables, file systems found. */
  content: z.array(z.string()),
  problems: z.array(z.string()),
  partitions: z.array(partitionSchema),
  header: unitHeaderSchema.optional(),
  generation: z.number().optional(),
  /** Of a unit. */
  lock: unitLockStateSchema.optional(),
})
export type UnitReport = z.infer<typeof unitReportSchema>

export const scannedLunSchema = z.object({
  /** As in `vms`. */
  id: z.string(),
  target: z.string().optional(),
  number: z.int().optional(),
  sizeBytes: z.number().optional(),
  lun: lunFactsInBandSchema.optional(),
  /** Absent: it could not be read, see `error`. */
  kind: z.enum([...lunKindSchema.options, 'no-disk']).optional(),
  content: z.array(z.string()),
  problems: z.array(z.string()),
  unitId: z.string().optional(),
  vmName: z.string().optional(),
  role: z.enum(['base', 'secondary', 'container']).optional(),
  error: wireErrorSchema.optional(),
})
export type ScannedLunEntry = z.infer<typeof scannedLunSchema>

export const scanSchema = z.object({
  luns: z.array(scannedLunSchema),
  vms: z.array(
    z.object({
      name: z.string(),
      uuid: z.string().optional(),
      /** Ids of the LUN with the base unit, one for each path; empty: only secondary units were seen. */
      base: z.array(z.string()),
      secondaries: z.array(
        z.object({
          index: z.int(),
          scsiId: z.string().optional(),
          /** Empty: missing. */
          luns: z.array(z.string()),
          problem: z.string().optional(),
        }),
      ),
    }),
  ),
  /** Targets that could not be asked for their LUNs. */
  targets: z.array(z.object({ target: z.string(), error: wireErrorSchema })),
})
export type UnitScan = z.infer<typeof scanSchema>

/**
 * atomic: by COMPARE AND WRITE; read-back: two consoles that act at the same moment may both succeed. Absent: the lock
 * was as it should be already.
 */
const lockMethodSchema = z.enum(['atomic', 'read-back']).optional()

export const unitCalls = {
  /** What a device is, by its two ends; of a unit all that its header tells (A8, B3). Changes nothing. */
  'units.show': call(z.object({ device: unitDeviceSchema }), unitReportSchema),
  /** Every LUN of every target of a portal, or files; the VMs on them with their secondary units (B5, B12). */
  'units.scan': call(
    z.union([
      z.object({ portal: portalLoginSchema }),
      z.object({ files: z.array(z.string().min(1)).min(1) }),
    ]),
    scanSchema,
  ),
  /** Takes the unit's lock for this computer (B13). */
  'units.lock': call(
    z.object({ device: unitDeviceSchema }),
    z.object({ lock: unitLockSchema, method: lockMethodSchema }),
  ),
  /** Frees the unit's lock; with `anyone` also that of another owner, which the caller has confirmed. */
  'units.unlock': call(
    z.object({ device: unitDeviceSchema, anyone: z.boolean().default(false) }),
    z.object({ before: unitLockStateSchema, method: lockMethodSchema }),
  ),
}
