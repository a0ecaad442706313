import { existsSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { z } from 'zod'

const templateSchema = z.object({
  /** A libvirt VM as files: vm.xml and disk0.raw. */
  folder: z.string(),
  raw: z.string(),
  vhd: z.string(),
  qcow2: z.string(),
  vhdx: z.string(),
  /** streamOptimized */
  vmdk: z.string(),
  /** OVF, manifest and one streamOptimized VMDK. */
  ova: z.string(),
  /** Name of the domain on the host, shut off, whose disk is the one in `folder`. */
  domain: z.string(),
})

/** `<dir>/lab.json`: everything that a test or a console needs to reach a lab that is up. Paths are absolute. */
export const labStateSchema = z.object({
  version: z.literal(1),
  dir: z.string(),
  ssh: z.object({ identityFile: z.string(), knownHostsFile: z.string() }),
  array: z.object({
    sshHost: z.string(),
    sshPort: z.int(),
    /** `tgtadm -C`; the control socket exists on the array only. */
    tgtControlPort: z.int(),
    portal: z.string(),
    /** Mount points; they exist on the array only. */
    volumes: z.object({ vol1: z.string(), small: z.string(), btrfs: z.string() }),
  }),
  host: z.object({
    sshHost: z.string(),
    sshPort: z.int(),
    stateDir: z.string(),
    iqn: z.string(),
    /** May log in, may do nothing: for the fault "host without rights". On the array too. */
    userWithoutRights: z.string(),
    /** May log in and use sudo without a password. On the array too. */
    userWithSudo: z.string(),
  }),
  guest: z.object({
    sshHost: z.string(),
    sshPort: z.int(),
    stateDir: z.string(),
    iqn: z.string(),
    /** The array's portal as the guest reaches it. */
    portalAsSeen: z.string(),
  }),
  template: templateSchema,
  /** 4 MiB without an operating system: prints VMREADY in under a second. */
  tiny: templateSchema.pick({ folder: true, raw: true, domain: true }),
  /** Starts with UEFI only; its guest agent answers. Needs 256 MiB of memory. */
  uefi: templateSchema.pick({ raw: true }),
})
export type LabState = z.infer<typeof labStateSchema>

export const defaultLabDir = (): string => join(tmpdir(), `gantry-lab-${userInfo().uid}`)

/** Without symbolic links, as the kernel tells it for mounts and loop devices; the last part need not exist. */
function realPath(path: string): string {
  if (existsSync(path)) return realpathSync(path)
  const parent = dirname(path)
  return existsSync(parent) ? join(realpathSync(parent), basename(path)) : path
}

/**
 * The folder as an absolute path. Throws where a lab can't be: the path becomes a mount option, and some folders are
 * replaced inside the lab's machines.
 */
export function checkLabDir(dir: string): string {
  const path = realPath(resolve(dir))
  if (!/^\/[A-Za-z0-9._/+-]+$/.test(path) || path.length > 60)
    throw new Error(
      `${path}: use a folder whose path has at most 60 characters out of letters, digits and "._/+-"`,
    )
  const replaced = ['/etc', '/run', '/var/run', '/proc', '/sys', '/dev', '/var/lib', '/var/log', '/var/cache']
  const inside = replaced.find((parent) => path === parent || path.startsWith(`${parent}/`))
  if (inside !== undefined)
    throw new Error(`${path}: a lab can't be in ${inside}, which its machines see differently`)
  return path
}

const stateFile = (dir: string): string => join(dir, 'lab.json')

/** undefined: no lab was completely brought up in this folder. Throws when the file is there and not a lab's. */
export function readLabState(dir: string): LabState | undefined {
  let text: string
  try {
    text = readFileSync(stateFile(dir), 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  return labStateSchema.parse(JSON.parse(text))
}

export function writeLabState(state: LabState): void {
  const path = stateFile(state.dir)
  writeFileSync(`${path}.new`, `${JSON.stringify(state, undefined, 2)}\n`)
  renameSync(`${path}.new`, path)
}
