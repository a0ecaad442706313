import type { LibvirtHostConfig } from '#shared/domain/compute.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import type { ChapSecrets } from '../../chap-secrets.ts'
import type { HostDriver, UnitFiles } from '../contract.ts'
import { createAttachments } from './attach.ts'
import { createConversion } from './convert.ts'
import { createCopies } from './copy.ts'
import { createHashing } from './hash.ts'
import { createLunRunner } from './lun-runner.ts'
import { createMounts } from './mount.ts'
import { createPreparation } from './prepare.ts'
import { createSending } from './send.ts'

export type HostStorage = Pick<HostDriver, 'attachLun' | 'findAttached' | 'detachLun'> &
  Omit<UnitFiles, 'describeVm'>

/** The storage half of a Linux host: LUNs, units and files. Every effect is one script and one round trip. */
export function createHostStorage(
  config: LibvirtHostConfig,
  shell: Shell,
  secrets: ChapSecrets,
): HostStorage {
  const runner = createLunRunner(config, shell, secrets)
  return {
    ...createAttachments(runner),
    ...createPreparation(runner),
    ...createMounts(runner),
    ...createCopies(runner),
    ...createSending(runner, shell.files),
    ...createHashing(config.name, shell),
    ...createConversion(runner),
  }
}
