import { z } from 'zod'
import { vmConfigurationSchema } from '#shared/domain/compute.ts'
import { nameSchema, uuidSchema } from '#shared/domain/names.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { readDomain, type DomainFacts } from '#main/protocols/domain-xml/read-domain.ts'
import type { VmDefinition } from '../contract.ts'
import { namesIn, readText, removeAll, writeWhole } from './files.ts'
import { vmPlaces, vmsFolder } from './places.ts'

const recordSchema = z.object({
  format: z.literal('gantry-vm'),
  version: z.literal(1),
  name: nameSchema,
  uuid: uuidSchema,
  configuration: vmConfigurationSchema,
})

export interface RegisteredVm {
  readonly name: string
  readonly uuid: string
  readonly domain: DomainFacts
}

/** The VMs that are registered on this computer, each a file of the console's data folder. */
export interface VmRecords {
  list(): Promise<RegisteredVm[]>
  find(uuid: string): Promise<RegisteredVm | undefined>
  /** Throws busy when the name or the UUID is another VM's. */
  put(vm: VmDefinition): Promise<void>
  remove(uuid: string): Promise<void>
}

export function createVmRecords(dataDir: string): VmRecords {
  const find = async (uuid: string): Promise<RegisteredVm | undefined> => {
    const path = vmPlaces(dataDir, uuid).record
    const text = await readText(path)
    return text === undefined ? undefined : parse(text, path)
  }
  const list = async (): Promise<RegisteredVm[]> => {
    const uuids = (await namesIn(vmsFolder(dataDir))).filter((name) => uuidSchema.safeParse(name).success)
    const found = await Promise.all(uuids.map(find))
    return found.filter((vm) => vm !== undefined)
  }
  return {
    list,
    find,
    async put({ name, uuid, configuration }) {
      const taken = (await list()).find((vm) => (vm.name === name) !== (vm.uuid === uuid))
      if (taken !== undefined)
        throw new AppError('busy', `There is another VM of this name or UUID: ${taken.name}, ${taken.uuid}`, {
          object: `VM ${name}`,
          advice: 'Choose another name, or remove that VM first.',
        })
      const record = recordSchema.parse({ format: 'gantry-vm', version: 1, name, uuid, configuration })
      await writeWhole(vmPlaces(dataDir, uuid).record, `${JSON.stringify(record, undefined, 2)}\n`)
    },
    remove: (uuid) => removeAll(vmPlaces(dataDir, uuid).folder),
  }
}

function parse(text: string, path: string): RegisteredVm {
  try {
    const { name, uuid, configuration } = recordSchema.parse(JSON.parse(text))
    return { name, uuid, domain: readDomain(configuration.text, `The configuration of VM ${name}`) }
  } catch (error) {
    throw new AppError('device-rejected', 'The file of a registered VM is damaged', {
      object: path,
      facts: { found: error instanceof z.ZodError ? z.prettifyError(error) : String(error) },
      advice: 'Restore the file, or move it away: the VM is then not registered any more; its disks stay.',
      cause: error,
    })
  }
}
