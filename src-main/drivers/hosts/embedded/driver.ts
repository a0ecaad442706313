import type { EmbeddedHostConfig } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { buildDomain } from '#main/protocols/domain-xml/build-domain.ts'
import type { ChapSecrets } from '../../chap-secrets.ts'
import type { HostDriver } from '../contract.ts'
import { createAttachments, type OpenLun } from './attach.ts'
import { describeVm } from './describe-vm.ts'
import { lockOwnerOf } from './lock-owner.ts'
import { probeHost } from './probe.ts'
import { createHostVms, runningOn } from './vms.ts'

export interface ThisComputer {
  /** The console's data folder: VMs and attached LUNs are files of it. */
  readonly dataDir: string
  /** The console's own. */
  readonly initiatorName: string
  readonly openLun: OpenLun
  readonly secrets: ChapSecrets
}

const program = 'qemu-system-x86_64'

/** This computer as a host: VMs are files, LUNs are looked at by the console's initiator and opened by QEMU itself. */
export function createEmbeddedHost(config: EmbeddedHostConfig, computer: ThisComputer): HostDriver {
  const { dataDir, openLun, secrets } = computer
  const initiatorName = config.settings.initiatorName ?? computer.initiatorName
  return {
    config,
    probe: (signal) => probeHost(config, program, dataDir, initiatorName, signal),
    ...createAttachments({ dataDir, initiatorName, openLun, usersOf: (lun) => runningOn(dataDir, lun) }),
    ...createHostVms(config, program, dataDir, secrets),
    disks: {
      describeVm: (spec) => describeVm(dataDir, spec),
      lockOwner: (vm) => lockOwnerOf(dataDir, vm),
    },
    buildConfiguration: buildDomain,
    readTemplate: () =>
      Promise.reject(
        new AppError('not-supported', 'Templates are not read from the VMs of this computer', {
          object: `host ${config.name}`,
          advice: 'Stage image files of this computer: gantry stage --layout disks --image FILE.',
        }),
      ),
  }
}
