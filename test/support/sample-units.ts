import type { UnitReport, UnitScan } from '#shared/contract/units.ts'
import type { UnitDevice } from '#shared/domain/unit-device.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { sampleHeader } from './units.ts'

export const nameOfSample = (device: UnitDevice): string =>
  device.kind === 'file' ? `file ${device.path}` : `LUN ${device.lun} of ${device.target} at ${device.portal}`

export const sampleLock = {
  owner: 'kvm1',
  bootId: '00112233-4455-4677-8899-aabbccddeeff',
  takenAt: '2026-11-20T09:30:00.000Z',
}

const { fileSystem: _none, ...header } = sampleHeader({
  role: 'base',
  layout: 'disks',
  files: [],
  disks: [{ index: 0, format: 'raw', partition: 5, sizeBytes: 1024 ** 3, sha256: 'ab'.repeat(32) }],
  secondaryUnits: [{ scsiId: 'naa.6001405000000000000000000000abcd', index: 1 }],
})

export const sampleUnitReport: UnitReport = {
  device: 'file /srv/web.img',
  sizeBytes: 2 * 1024 ** 3,
  lun: {
    vendor: 'LABARR',
    product: 'CONTAINER',
    revision: '0001',
    serial: 'SN-1',
    scsiIds: ['naa.6001405000000000000000000000abcc'],
  },
  kind: 'vm',
  content: [],
  problems: ['The backup GPT is damaged: CRC'],
  partitions: [
    {
      number: 5,
      type: 'afa682cc-4018-451c-93e5-75e1c647da05',
      name: 'disk0',
      firstLba: 300_000,
      sectors: 2_097_152,
    },
  ],
  header,
  generation: 3,
  lock: { state: 'held', lock: sampleLock, isGone: false },
}

export const sampleScan: UnitScan = {
  luns: [
    {
      id: 'iqn.2026-11.lab:web/1',
      target: 'iqn.2026-11.lab:web',
      number: 1,
      sizeBytes: 2 * 1024 ** 3,
      kind: 'vm',
      content: [],
      problems: [],
      vmName: 'web',
      role: 'base',
    },
    { id: 'iqn.2026-11.lab:bad/1', kind: 'damaged', content: [], problems: ['The header is gone'] },
    { id: 'iqn.2026-11.lab:boot/0', kind: 'boot', content: ['an EFI system partition'], problems: [] },
    { id: 'iqn.2026-11.lab:data/0', kind: 'other', content: ['XFS file system'], problems: [] },
    {
      id: 'iqn.2026-11.lab:gone/0',
      content: [],
      problems: [],
      error: encodeError(new AppError('busy', 'It is reserved by another')),
    },
  ],
  vms: [
    {
      name: 'web',
      uuid: '11111111-2222-4333-8444-555555555555',
      base: ['iqn.2026-11.lab:web/1'],
      secondaries: [
        {
          index: 1,
          scsiId: 'naa.6001405000000000000000000000abcd',
          luns: [],
          problem: 'No LUN with this identity was seen',
        },
      ],
    },
  ],
  targets: [
    {
      target: 'iqn.2026-11.lab:locked',
      error: encodeError(new AppError('auth-failed', 'The target does not admit this initiator')),
    },
  ],
}
