import type { Deployment, DeploymentRecipe, Vm } from '#shared/domain/compute.ts'
import type { Container, Volume } from '#shared/domain/storage.ts'
import type { ArrayRecord } from '#main/store/arrays.ts'
import type { HostRecord } from '#main/store/hosts.ts'
import type { LunRecord } from '#main/store/luns.ts'
import type { TemplateRecord } from '#main/store/templates.ts'

const learntAt = '2026-11-20T10:00:00.000Z'
const uuid = (digit: string): string => `${digit.repeat(8)}-1111-4111-8111-${digit.repeat(12)}`

export function sampleArray(name = 'lab-array'): ArrayRecord {
  return {
    config: {
      name,
      driver: 'linux-storage',
      connection: { host: 'array.example', password: { from: 'env', variable: 'ARRAY_PASSWORD' } },
      settings: {
        volumes: { vol1: '/srv/vol1' },
        portal: 'array.example:3260',
        tgtControlPort: 0,
        iqnPrefix: 'iqn.2026-11.gantry.array',
        lunLimitPerVolume: 256,
      },
    },
    identity: { vendor: 'Debian', product: 'tgt', version: '1.0.85', serial: 'abc' },
    learntAt,
    learntHow: 'device lab: call',
  }
}

export function sampleHost(name = 'lab-host'): HostRecord {
  return {
    config: {
      name,
      driver: 'libvirt',
      connection: { host: 'host.example', passphrase: { from: 'store', key: 'host-key' } },
      settings: { uri: 'qemu:///system', stateDir: '/var/lib/gantry', portals: {} },
    },
    facts: {
      hostName: 'host',
      hypervisor: 'QEMU',
      osType: 'linux',
      initiatorName: 'iqn.1993-08.org.debian:01:host',
      attachMethod: 'open-iscsi',
      fileSystems: ['ext4', 'xfs'],
    },
    learntAt,
    learntHow: 'device lab: call',
  }
}

export function sampleVolume(array = 'lab-array', name = 'vol1'): Volume {
  return {
    array,
    name,
    path: `/srv/${name}`,
    fileSystem: 'xfs',
    canReflink: true,
    sizeBytes: 1000,
    usedBytes: 300,
    freeBytes: 700,
    lunCount: 1,
    lunLimit: 256,
    learntAt,
    learntHow: 'device lab: call',
  }
}

export function sampleContainer(name = 'web', array = 'lab-array'): Container {
  return {
    array,
    volume: 'vol1',
    name,
    sizeBytes: 4096,
    state: 'ok',
    staged: {
      unitId: uuid('a'),
      osType: 'linux',
      fileSystem: 'ext4',
      templateName: 'debian',
      stagedAt: learntAt,
    },
    learntAt,
    learntHow: 'device lab: call',
  }
}

export function sampleLun(name = 'web-1', digit = '1', array = 'lab-array'): LunRecord {
  return {
    array,
    identity: {
      name,
      target: `iqn.2026-11.gantry.array:${name}`,
      lun: 1,
      // Digits and an "e": what a column without STRICT would turn into a number.
      serial: `50060e801020304${digit}`,
      naa: `6${digit.repeat(31)}`,
    },
    backing: { volume: 'vol1', kind: 'clone', name },
    osType: 'linux',
    initiators: ['iqn.1993-08.org.debian:01:host'],
  }
}

export function sampleDeployment(name = 'web-1', digit = '1'): Deployment {
  return {
    name,
    host: 'lab-host',
    container: { array: 'lab-array', volume: 'vol1', name: 'web', unitId: uuid('a') },
    backing: { volume: 'vol1', kind: 'clone', name },
    lun: { ...sampleLun(name, digit).identity, portal: 'array.example:3260' },
    initiator: 'iqn.1993-08.org.debian:01:host',
    vm: { name, uuid: uuid(digit) },
    consoleLog: `/var/lib/gantry/${name}.log`,
    osType: 'linux',
    deployedAt: learntAt,
  }
}

export function sampleRecipe(name = 'web-1', digit = '1'): DeploymentRecipe {
  return {
    fileSystem: 'ext4',
    started: true,
    vm: {
      name,
      uuid: uuid(digit),
      configuration: { format: 'libvirt-xml', text: `<domain><name>${name}</name></domain>` },
      macAddresses: ['52:54:00:00:00:01'],
      consoleLog: `/var/lib/gantry/${name}.log`,
    },
  }
}

export function sampleVm(digit = '1', host = 'lab-host'): Vm {
  return {
    host,
    uuid: uuid(digit),
    name: `vm-${digit}`,
    state: 'running',
    memoryBytes: 1024,
    cpus: 2,
    disks: [{ device: 'vda', type: 'file', source: '/var/lib/gantry/web/disk.qcow2', format: 'qcow2' }],
    learntAt,
    learntHow: 'device lab: call',
  }
}

export function sampleTemplate(name = 'debian', domain = 'debian'): TemplateRecord {
  return {
    host: 'lab-host',
    name,
    source: { kind: 'domain', domain },
    summary: {
      vm: { name, memoryBytes: 1024, cpus: 1, firmware: 'bios' },
      files: [{ source: '/images/debian.qcow2', name: 'debian.qcow2', sizeBytes: 4096 }],
      warnings: [],
    },
    learntAt,
    learntHow: 'device lab: call',
  }
}
