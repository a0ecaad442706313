import { mkdirSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { templateDisk } from '#main/cli/demo/template-disk.ts'
import { cached, contentOf } from '../cache.ts'
import { exec } from '../exec.ts'
import type { LabState } from '../state.ts'
import { domainXml } from './domain-xml.ts'
import { writeOva } from './ova.ts'

const here = import.meta.dirname
const MiB = 1024 * 1024
/** Debian's kernel needs 80 MiB to start. */
const memoryMiB = 128
const name = 'gantry-template'
const tinyName = 'gantry-tiny'

export interface TemplateOptions {
  /** Size of the disk; default 128 MiB. */
  readonly diskMiB?: number
  /** Random data on it; default 32 MiB. At most diskMiB - 48. */
  readonly payloadMiB?: number
}

/** Kernel, initial RAM disk and modules, in the cache; for the template and for the guest. */
export const prepareKernel = (): Promise<string> => {
  const script = join(here, 'build-kernel.sh')
  const init = join(here, 'initrd-init.sh')
  return cached('kernel', [contentOf(script, init)], async (dir) => {
    await exec('/bin/sh', [script, dir, init], { timeoutMs: 600_000 })
  })
}

const convert = (dir: string, format: string, options: string | undefined, to: string) =>
  exec('qemu-img', [
    'convert',
    '-O',
    format,
    ...(options === undefined ? [] : ['-o', options]),
    join(dir, 'disk.raw'),
    join(dir, to),
  ])

/** The disk in every form that a template may come in, in the cache. Returns the folder. */
async function prepareDisks(options: TemplateOptions): Promise<string> {
  const { diskMiB = 128, payloadMiB = 32 } = options
  if (payloadMiB > diskMiB - 48)
    throw new Error(`A disk of ${diskMiB} MiB has no room for ${payloadMiB} MiB of data`)
  const kernel = await prepareKernel()
  const script = join(here, 'build-disk.sh')
  const start = join(here, 'vm-start.sh')
  const ours = contentOf(script, start, join(here, 'ova.ts'), import.meta.filename)
  return cached('template', [ours, kernel, diskMiB, payloadMiB], async (dir) => {
    await exec('unshare', [
      '--mount',
      '/bin/sh',
      script,
      dir,
      kernel,
      start,
      String(diskMiB),
      String(payloadMiB),
    ])
    await Promise.all([
      // Without force_size the format's geometry rounds the disk's size up.
      convert(dir, 'vpc', 'subformat=dynamic,force_size=on', 'disk.vhd'),
      convert(dir, 'qcow2', undefined, 'disk.qcow2'),
      convert(dir, 'vhdx', 'subformat=dynamic', 'disk.vhdx'),
      convert(dir, 'vmdk', 'subformat=streamOptimized', 'disk.vmdk'),
    ])
    await writeOva(dir, { name, memoryMiB, vmdk: 'disk.vmdk', capacityBytes: diskMiB * MiB })
  })
}

/** A disk whose boot sector is the whole system. */
const prepareTiny = (): Promise<string> =>
  cached('tiny', [contentOf(join(here, '../../../src-main/cli/demo/template-disk.ts'))], async (dir) => {
    await writeFile(join(dir, 'disk.raw'), templateDisk())
  })

/** A disk of 40 MiB that UEFI starts, with the guest agent. */
async function prepareUefi(): Promise<string> {
  const kernel = await prepareKernel()
  const script = join(here, 'build-uefi-disk.sh')
  const init = join(here, 'uefi-init.sh')
  return cached('uefi', [contentOf(script, init), kernel], async (dir) => {
    await exec('/bin/sh', [script, dir, kernel, init])
  })
}

/** A VM as files, which a test may change: the disk is a copy. */
async function writeVmFolder(folder: string, vm: { name: string; memoryMiB: number; raw: string }) {
  mkdirSync(folder, { recursive: true })
  const disk = join(folder, 'disk0.raw')
  await exec('cp', ['--sparse=always', '--reflink=auto', vm.raw, disk])
  writeFileSync(
    join(folder, 'vm.xml'),
    domainXml({ name: vm.name, uuid: crypto.randomUUID(), memoryMiB: vm.memoryMiB, disk }),
  )
}

/** Builds what is not in the cache yet and lays the VM folders into `<labDir>/template`. */
export async function prepareTemplates(
  labDir: string,
  options: TemplateOptions = {},
): Promise<Pick<LabState, 'template' | 'tiny' | 'uefi'>> {
  const [disks, tiny, uefi] = await Promise.all([prepareDisks(options), prepareTiny(), prepareUefi()])
  const folder = join(labDir, 'template', 'vm')
  const tinyFolder = join(labDir, 'template', 'tiny')
  const raw = join(disks, 'disk.raw')
  const tinyRaw = join(tiny, 'disk.raw')
  await Promise.all([
    writeVmFolder(folder, { name, memoryMiB, raw }),
    writeVmFolder(tinyFolder, { name: tinyName, memoryMiB: 32, raw: tinyRaw }),
  ])
  return {
    template: {
      folder,
      raw,
      vhd: join(disks, 'disk.vhd'),
      qcow2: join(disks, 'disk.qcow2'),
      vhdx: join(disks, 'disk.vhdx'),
      vmdk: join(disks, 'disk.vmdk'),
      ova: join(disks, `${name}.ova`),
      domain: name,
    },
    tiny: { folder: tinyFolder, raw: tinyRaw, domain: tinyName },
    uefi: { raw: join(uefi, 'disk.raw') },
  }
}
