import type { Template, TemplateSource } from '#shared/domain/compute.ts'
import type { Devices } from '#main/drivers/devices.ts'
import type { HostProbe } from '#main/drivers/hosts/contract.ts'
import type { Jobs } from '#main/jobs/jobs.ts'
import type { Store } from '#main/store/store.ts'
import type { UnitDevices } from '#main/units/devices.ts'
import type { OpenSourceFiles } from './templates/source-files.ts'

/** What every service needs; built once by the composition root. */
export interface ServiceContext {
  readonly devices: Devices
  readonly store: Store
  readonly jobs: Jobs
  readonly productVersion: string
  /** Tells whoever shows the inventory that it is not what it was. */
  inventoryChanged(): void
  readonly unitDevices: UnitDevices
  /** The console's own iSCSI name. */
  readonly initiatorName: string
  readonly openSourceFiles: OpenSourceFiles
  readTemplate(host: string, source: TemplateSource, signal: AbortSignal): Promise<Template>
}

export type HostFacts = Omit<HostProbe, 'checks'>

/** The facts of a host as last learnt; asks it when there are none. */
export async function factsOfHost(
  context: ServiceContext,
  name: string,
  signal: AbortSignal,
): Promise<HostFacts> {
  const { config, facts: known } = context.store.hosts.get(name)
  if (known !== undefined) return known
  const { checks: _checks, ...facts } = await context.devices.host(name).probe(signal)
  context.store.hosts.put({ config, facts, learntAt: now(), learntHow: `host ${name}: probe` })
  return facts
}

export const now = (): string => new Date().toISOString()
