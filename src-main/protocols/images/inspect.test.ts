import { describe, expect, it } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { capturedImages, imageBytes, inspectBytes } from '#test/fixtures/images/images.ts'
import { containerDiskName, formatOfName, imageWarnings, toTemplateFile } from './container-disk.ts'

const patched = (name: string, changes: Readonly<Record<number, readonly number[]>>): Uint8Array => {
  const bytes = imageBytes(name)
  for (const [at, values] of Object.entries(changes)) bytes.set(values, Number(at))
  return bytes
}
const refused = (bytes: Uint8Array): AppError => {
  try {
    inspectBytes(bytes)
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('was accepted')
}

describe('inspectImage on images made by qemu-img (A1)', () => {
  it.each([
    ['base.qcow2', 'qcow2', true],
    ['v2.qcow2', 'qcow2', true],
    ['snap.qcow2', 'qcow2', true],
    ['dynamic.vhd', 'vhd', true],
    ['forced.vhd', 'vhd', true],
    ['fixed.vhd', 'vhd', false],
    ['dynamic.vhdx', 'vhdx', true],
    ['fixed.vhdx', 'vhdx', false],
    ['sparse.vmdk', 'vmdk', true],
    ['stream.vmdk', 'vmdk', true],
    ['plain.raw', 'raw', false],
  ])('%s: format and the virtual size that qemu-img reports', (name, format, grows) => {
    const virtualSizeBytes = capturedImages.find((image) => image.name === name)?.virtualSizeBytes
    expect(inspectBytes(imageBytes(name))).toMatchObject({ format, grows, virtualSizeBytes, unclean: false })
  })

  it('counts the snapshots inside a qcow2', () => {
    expect(inspectBytes(imageBytes('snap.qcow2')).snapshots).toBe(2)
  })

  it.each([
    ['backed.qcow2', /backing file/],
    ['aes.qcow2', /encrypted/],
    ['external.qcow2', /another file/],
    ['flat.vmdk', /other files/],
    ['split.vmdk', /other files/],
    ['split-s001.vmdk', /one part/],
    ['delta.vmdk', /delta/],
  ])('%s cannot stand alone: not-supported', (name, message) => {
    expect(refused(imageBytes(name))).toMatchObject({
      code: 'not-supported',
      message: expect.stringMatching(message),
      advice: expect.any(String),
    })
  })
})

describe('inspectImage on hostile and damaged images', () => {
  const fixVhdChecksum = (bytes: Uint8Array): Uint8Array => {
    const footer = bytes.subarray(bytes.length - 512)
    footer.fill(0, 64, 68)
    new DataView(footer.buffer, footer.byteOffset).setInt32(64, ~footer.reduce((sum, byte) => sum + byte, 0))
    return bytes
  }

  it.each([
    ['a qcow2 of 2^62 bytes', patched('base.qcow2', { 24: [0x40, 0, 0, 0, 0, 0, 0, 0] }), /claims a disk/],
    ['a qcow2 of no size', patched('base.qcow2', { 24: [0, 0, 0, 0, 0, 0, 0, 0] }), /claims a disk/],
    ['qcow2 cluster bits 63', patched('base.qcow2', { 20: [0, 0, 0, 63] }), /cluster bits/],
    ['a qcow2 marked corrupt', patched('base.qcow2', { 72: [0, 0, 0, 0, 0, 0, 0, 2] }), /corrupt/],
    ['a VHD with a wrong checksum', patched('fixed.vhd', { [4194816 - 512 + 40]: [9] }), /checksum/],
    [
      'a fixed VHD that claims more than the file',
      fixVhdChecksum(patched('fixed.vhd', { [4194816 - 512 + 50]: [1] })),
      /the file holds/,
    ],
    ['a VHDX without region tables', patched('dynamic.vhdx', { 196608: [0], 262144: [0] }), /region table/],
    ['a VHDX with neither header', patched('dynamic.vhdx', { 65536: [0], 131072: [0] }), /header/],
    ['a VMDK of 2^63 sectors', patched('sparse.vmdk', { 19: [0x80] }), /claims a disk/],
    ['a VMDK whose descriptor is far away', patched('sparse.vmdk', { 33: [0xff] }), /descriptor/],
    ['a raw image cut in the middle of a sector', new Uint8Array(1000), /not that of a raw disk/],
    ['an empty file', new Uint8Array(0), /0 bytes/],
  ])('%s: bad-request', (_, bytes, message) => {
    expect(refused(bytes)).toMatchObject({ code: 'bad-request', message: expect.stringMatching(message) })
  })

  it('a VMDK of capacity 0 makes QEMU follow its descriptor to other files: refused', () => {
    expect(refused(patched('sparse.vmdk', { 12: [0, 0, 0, 0, 0, 0, 0, 0] })).code).toBe('bad-request')
  })

  it('qcow2 features of the future: not-supported', () => {
    expect(refused(patched('base.qcow2', { 72: [0x80] })).code).toBe('not-supported')
  })

  it('a differencing VHD: not-supported', () => {
    const footerAt = imageBytes('dynamic.vhd').length - 512
    expect(refused(fixVhdChecksum(patched('dynamic.vhd', { [footerAt + 63]: [4] }))).message).toMatch(
      /differencing/,
    )
  })

  it('a dirty qcow2 and a VHDX with a log are said to be unclean', () => {
    expect(inspectBytes(patched('base.qcow2', { 72: [0, 0, 0, 0, 0, 0, 0, 1] })).unclean).toBe(true)
    expect(inspectBytes(patched('dynamic.vhdx', { [65536 + 48]: [1], [131072 + 48]: [1] })).unclean).toBe(
      true,
    )
  })

  it.each(['gzip:1f8b08', 'xz:fd377a585a00', 'ZIP:504b0304'])('%s: says what it is', (spec) => {
    const [what = '', hex = ''] = spec.split(':')
    const bytes = new Uint8Array(4096)
    bytes.set(Buffer.from(hex, 'hex'))
    expect(refused(bytes).message).toContain(what)
  })

  it('cut at any sector, every image is either refused or raw by its remaining bytes', () => {
    for (const { name } of capturedImages.filter((image) => image.sizeBytes < 1_000_000)) {
      const bytes = imageBytes(name)
      for (let length = 0; length < bytes.length; length += 512) {
        try {
          inspectBytes(bytes.subarray(0, length))
        } catch (error) {
          expect(error).toBeInstanceOf(AppError)
          expect(['bad-request', 'not-supported']).toContain((error as AppError).code)
        }
      }
    }
  })

  it('a VHD whose end is missing is not taken for raw', () => {
    expect(refused(imageBytes('dynamic.vhd').subarray(0, 2048)).message).toMatch(/end is missing/)
  })
})

describe('container disks', () => {
  const facts = inspectBytes(imageBytes('dynamic.vhd'))
  const image = { source: '/images/web.qcow2', sizeBytes: 2560, facts }

  it('a format that lies is refused with both words', () => {
    expect(() => toTemplateFile({ ...image, claimedFormat: 'qcow2' }, 0)).toThrow(
      expect.objectContaining({
        code: 'bad-request',
        message: '"/images/web.qcow2" is a vhd image but is called qcow2',
      }),
    )
  })

  it('names follow order and true format', () => {
    expect(toTemplateFile(image, 1)).toEqual({
      source: '/images/web.qcow2',
      name: 'disk1.vhd',
      sizeBytes: 2560,
      disk: { index: 1, format: 'vhd', virtualSizeBytes: 67125248 },
    })
    expect(containerDiskName(0, 'raw')).toBe('disk0.raw')
  })

  it('names claim only what their ending says', () => {
    expect(['a.QCOW2', 'a.vhdx', 'a.img', 'a'].map(formatOfName)).toEqual([
      'qcow2',
      'vhdx',
      undefined,
      undefined,
    ])
  })

  it('warns of growth and conversion', () => {
    expect(imageWarnings(image, 0)).toEqual([expect.stringMatching(/2.50 KiB now and may reach 64.0 MiB/)])
    const vmdk = { ...image, facts: { ...facts, format: 'vmdk' as const, unclean: true, snapshots: 3 } }
    expect(imageWarnings(vmdk, 0)).toHaveLength(3)
  })
})
