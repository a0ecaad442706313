import type { OutputOf } from '#shared/contract/index.ts'
import { GiB, TiB } from '#shared/units/bytes.ts'

type Arrays = OutputOf<'inventory.listArrays'>
type Hosts = OutputOf<'inventory.listHosts'>
type Containers = OutputOf<'inventory.listContainers'>
type Deployments = OutputOf<'inventory.listDeployments'>
type Luns = OutputOf<'inventory.listLuns'>

const learntAt = '2026-11-20T09:30:00.000Z'
const uuid = (digit: string): string => `${digit.repeat(8)}-0000-4000-8000-${digit.repeat(12)}`

export const sampleArrays: Arrays = [
  {
    config: {
      name: 'lab-array',
      driver: 'linux-storage',
      connection: {
        host: 'array1.lab',
        user: 'gantry',
        password: { from: 'env', variable: 'ARRAY_PASSWORD' },
      },
      settings: {
        volumes: { vol1: '/srv/vol1', vol2: '/srv/vol2' },
        portal: '192.0.2.10:3260',
        tgtControlPort: 0,
        iqnPrefix: 'iqn.2026-11.gantry.array',
        lunLimitPerVolume: 16,
      },
    },
    identity: { vendor: 'Linux', product: 'tgt on XFS', version: '1.0.85', serial: 'c0ffee01' },
    volumes: [
      {
        array: 'lab-array',
        name: 'vol1',
        path: '/srv/vol1',
        fileSystem: 'xfs',
        canReflink: true,
        sizeBytes: 2 * TiB,
        usedBytes: 0.62 * TiB,
        freeBytes: 1.38 * TiB,
        lunCount: 3,
        lunLimit: 16,
        learntAt,
      },
      {
        array: 'lab-array',
        name: 'vol2',
        path: '/srv/vol2',
        fileSystem: 'ext4',
        canReflink: false,
        sizeBytes: 500 * GiB,
        usedBytes: 486 * GiB,
        freeBytes: 14 * GiB,
        lunCount: 16,
        lunLimit: 16,
        learntAt,
      },
    ],
    learntAt,
  },
  {
    config: {
      name: 'new-array',
      driver: 'linux-storage',
      connection: { host: 'array2.lab' },
      settings: {
        volumes: {},
        portal: '192.0.2.20:3260',
        tgtControlPort: 0,
        iqnPrefix: 'iqn.2026-11.gantry.array',
        lunLimitPerVolume: 256,
      },
    },
    volumes: [],
  },
]

export const sampleHosts: Hosts = [
  {
    config: {
      name: 'lab-host',
      driver: 'libvirt',
      connection: { host: 'host1.lab', user: 'root' },
      settings: { uri: 'qemu:///system', stateDir: '/var/lib/gantry', portals: {} },
    },
    facts: {
      hostName: 'host1',
      hypervisor: 'QEMU 7.2.22',
      osType: 'linux',
      initiatorName: 'iqn.1993-08.org.debian:01:host1',
      attachMethod: 'open-iscsi',
      fileSystems: ['ext4', 'xfs'],
    },
    learntAt,
  },
]

const container = (
  volume: string,
  name: string,
  digit: string,
  sizeBytes: number,
  osType: 'linux' | 'windows' = 'linux',
): Containers[number] => ({
  array: 'lab-array',
  volume,
  name,
  sizeBytes,
  state: 'ok',
  staged: {
    unitId: uuid(digit),
    osType,
    fileSystem: osType === 'linux' ? 'ext4' : 'ntfs',
    templateName: name === 'web' ? 'debian-12-web' : name,
    stagedAt: '2026-11-18T14:05:00.000Z',
  },
  learntAt,
})

export const sampleContainers: Containers = [
  container('vol1', 'web', '1', 4.4 * GiB),
  container('vol1', 'database', '2', 22 * GiB),
  container('vol2', 'web', '3', 4.4 * GiB),
  container('vol2', 'office', '4', 64 * GiB, 'windows'),
]

export const sampleDeployments: Deployments = ['web-1', 'web-2'].map((name, index) => ({
  name,
  host: 'lab-host',
  container: { array: 'lab-array', volume: 'vol1', name: 'web', unitId: uuid('1') },
  backing: { volume: 'vol1', kind: 'clone', name: `${name}-clone` },
  snapshot: { volume: 'vol1', kind: 'snapshot', name: 'web-snapshot' },
  lun: {
    name: `${name}-lun`,
    target: `iqn.2026-11.gantry.array:${name}`,
    lun: 1,
    serial: `GANTRY${index}`,
    naa: `6${'0'.repeat(30)}${index}`,
    portal: '192.0.2.10:3260',
  },
  initiator: 'iqn.1993-08.org.debian:01:host1',
  vm: { name, uuid: uuid(String(index + 5)) },
  consoleLog: `/var/lib/gantry/${name}.log`,
  osType: 'linux',
  deployedAt: '2026-11-19T08:15:00.000Z',
}))

export const sampleLuns: Luns = sampleDeployments.map((deployment) => {
  const { portal: _portal, ...identity } = deployment.lun
  return {
    ...identity,
    array: 'lab-array',
    backing: deployment.backing,
    backingPath: `/srv/vol1/${deployment.backing.name}`,
    sizeBytes: 4.4 * GiB,
    mappedTo: [deployment.initiator],
    sessions: [deployment.initiator],
    ours: true,
  }
})
