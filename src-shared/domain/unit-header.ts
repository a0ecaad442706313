import { z } from 'zod'
import { imageFormatSchema, vmConfigurationSchema } from './compute.ts'
import { instantSchema, uuidSchema } from './names.ts'
import { fileSystemTypeSchema, osTypeSchema } from './storage.ts'

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/)

/** The JSON of the unit header, version 1 (docs/unit-format.md). Unknown fields are kept when it is rewritten. */
export const unitHeaderSchema = z
  .looseObject({
    unitId: uuidSchema,
    role: z.enum(['base', 'secondary', 'container']),
    layout: z.enum(['files', 'disks']),
    vm: z.looseObject({
      name: z.string(),
      uuid: uuidSchema.optional(),
      hypervisor: z.string(),
      memoryBytes: z.number(),
      cpus: z.int(),
      configuration: vmConfigurationSchema,
    }),
    osType: osTypeSchema,
    /** Of the layout `files` only. */
    fileSystem: z.looseObject({ type: fileSystemTypeSchema, uuid: z.string(), label: z.string() }).optional(),
    disks: z.array(
      z.looseObject({
        index: z.int(),
        format: imageFormatSchema,
        path: z.string().optional(),
        partition: z.int().optional(),
        sizeBytes: z.number(),
        sha256: sha256Schema.optional(),
        scsiId: z.string().optional(),
      }),
    ),
    files: z.array(z.looseObject({ path: z.string(), sizeBytes: z.number(), sha256: sha256Schema })),
    secondaryUnits: z.array(z.looseObject({ scsiId: z.string(), index: z.int() })).default([]),
    parent: z.looseObject({ unitId: uuidSchema, generation: z.number() }).optional(),
    stagedAt: instantSchema,
    stagedFrom: z.string(),
    stagedBy: z.looseObject({ product: z.string(), version: z.string() }),
    notes: z.string().default(''),
  })
  .refine(({ layout, fileSystem }) => layout === 'disks' || fileSystem !== undefined, {
    path: ['fileSystem'],
    error: 'the layout "files" has one',
  })
export type UnitHeader = z.infer<typeof unitHeaderSchema>
