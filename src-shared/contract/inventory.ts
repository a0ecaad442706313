import { z } from 'zod'
import {
  attachMethodSchema,
  deploymentSchema,
  hostConfigSchema,
  templateSchema,
  templateSourceSchema,
  vmSchema,
} from '../domain/compute.ts'
import { sshConnectionSchema } from '../domain/connection.ts'
import { instantSchema, learntHowSchema, nameSchema } from '../domain/names.ts'
import {
  arrayConfigSchema,
  arrayIdentitySchema,
  checkSchema,
  containerSchema,
  fileSystemTypeSchema,
  lunFactsSchema,
  objectFactsSchema,
  osTypeSchema,
  unitStateSchema,
  volumeSchema,
} from '../domain/storage.ts'
import { unitHeaderSchema } from '../domain/unit-header.ts'
import { call } from './define.ts'

const named = z.object({ name: nameSchema })
const none = z.object({})
const done = z.object({})

export const arrayEntrySchema = z.object({
  config: arrayConfigSchema,
  identity: arrayIdentitySchema.optional(),
  volumes: z.array(volumeSchema),
  learntAt: instantSchema.optional(),
  learntHow: learntHowSchema,
})
export const arrayProbeSchema = z.object({ identity: arrayIdentitySchema, checks: z.array(checkSchema) })

export const hostFactsSchema = z.object({
  hostName: z.string(),
  hypervisor: z.string(),
  osType: osTypeSchema,
  initiatorName: z.string(),
  attachMethod: attachMethodSchema,
  fileSystems: z.array(fileSystemTypeSchema),
})
export const hostEntrySchema = z.object({
  config: hostConfigSchema,
  facts: hostFactsSchema.optional(),
  learntAt: instantSchema.optional(),
  learntHow: learntHowSchema,
})
export const hostProbeSchema = hostFactsSchema.extend({ checks: z.array(checkSchema) })

/** A container as its own first mebibytes tell (A8), read through the array. */
export const containerDetailsSchema = z.object({
  facts: objectFactsSchema,
  state: unitStateSchema,
  /** What is wrong, also when the state is ok by the second copy. */
  problems: z.array(z.string()),
  header: unitHeaderSchema.optional(),
  generation: z.number().optional(),
})

export const hostKeySchema = z.object({
  host: z.string(),
  port: z.int(),
  type: z.string(),
  /** "SHA256:..." as OpenSSH prints it. */
  fingerprint: z.string(),
  state: z.enum(['known', 'unknown', 'changed']),
  /** Fingerprints on record when the state is changed. */
  expected: z.array(z.string()),
})

export const inventoryCalls = {
  /** The host key that a device (or the first jump host whose key is not known) shows, and whether it is known. Sends no credentials. */
  'connections.inspectHostKey': call(z.object({ connection: sshConnectionSchema }), hostKeySchema),
  /** Records the key of this fingerprint as known; fails when the device shows another one now. */
  'connections.trustHostKey': call(
    z.object({ connection: sshConnectionSchema, fingerprint: z.string() }),
    done,
  ),

  'inventory.addArray': call(arrayConfigSchema, arrayProbeSchema),
  'inventory.removeArray': call(named, done),
  /** Ends what serves the LUNs of an array of this computer; it begins again when it is needed. */
  'inventory.stopArray': call(named.extend({ force: z.boolean().default(false) }), done),
  'inventory.probeArray': call(named, arrayProbeSchema),
  'inventory.listArrays': call(none, z.array(arrayEntrySchema)),
  'inventory.addHost': call(hostConfigSchema, hostProbeSchema),
  'inventory.removeHost': call(named, done),
  'inventory.probeHost': call(named, hostProbeSchema),
  'inventory.listHosts': call(none, z.array(hostEntrySchema)),

  /** With refresh the array is asked; otherwise the last known state, with its age. */
  'inventory.listVolumes': call(
    z.object({ array: nameSchema, refresh: z.boolean().default(false) }),
    z.array(volumeSchema),
  ),
  'inventory.listContainers': call(
    z.object({
      array: nameSchema.optional(),
      volume: nameSchema.optional(),
      refresh: z.boolean().default(false),
    }),
    z.array(containerSchema),
  ),
  'inventory.showContainer': call(
    z.object({ array: nameSchema, volume: nameSchema, container: nameSchema }),
    containerDetailsSchema,
  ),
  'inventory.listLuns': call(z.object({ array: nameSchema }), z.array(lunFactsSchema)),
  'inventory.listVms': call(
    z.object({ host: nameSchema, refresh: z.boolean().default(false) }),
    z.array(vmSchema),
  ),
  'inventory.listDeployments': call(none, z.array(deploymentSchema)),
  'inventory.readTemplate': call(
    z.object({ host: nameSchema, source: templateSourceSchema }),
    templateSchema,
  ),
}

export const inventoryEvents = {
  /** Arrays, hosts, containers or deployments are not what they were; ask again. */
  'inventory.inventoryChanged': z.object({}),
}
