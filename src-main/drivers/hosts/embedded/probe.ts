import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { EmbeddedHostConfig } from '#shared/domain/compute.ts'
import type { Check } from '#shared/domain/storage.ts'
import type { HostProbe } from '../contract.ts'
import { qemuAdvice } from './qemu-process.ts'

const askTimeoutMs = 10_000
const bareMachine = ['-nodefaults', '-no-user-config', '-display', 'none', '-S']

interface Said {
  readonly code: number | 'ENOENT'
  readonly text: string
}

function ask(program: string, args: readonly string[], signal: AbortSignal, input = ''): Promise<Said> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { signal, timeout: askTimeoutMs }, (error, stdout, stderr) => {
      const code = error?.code
      resolve({
        code: code === 'ENOENT' ? code : typeof code === 'number' ? code : error === null ? 0 : 1,
        text: `${stdout}${stderr}`,
      })
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
}

/** "QEMU 7.2.22"; undefined: not installed. */
async function versionOf(program: string, signal: AbortSignal): Promise<string | undefined> {
  const { code, text } = await ask(program, ['--version'], signal)
  return code === 0 ? `QEMU ${/version (\S+)/.exec(text)?.[1] ?? '?'}` : undefined
}

/** Opening a LUN that nobody serves fails in the driver, or before it when there is none. */
async function hasIscsi(program: string, signal: AbortSignal): Promise<boolean> {
  const node =
    'driver=iscsi,node-name=x,transport=tcp,portal=127.0.0.1:1,target=iqn.2026-11.gantry:none,lun=1'
  const { text } = await ask(program, ['-M', 'none', ...bareMachine, '-blockdev', node], signal)
  return /iSCSI: /.test(text)
}

/** /dev/kvm may be there and yet give no VM, on a computer that is a virtual machine itself. */
export async function hasKvm(program: string, signal: AbortSignal): Promise<boolean> {
  if (process.platform !== 'linux') return false
  const mayUse = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  )
  if (!mayUse) return false
  const args = ['-M', 'q35,accel=kvm', '-cpu', 'max', '-m', '32M', ...bareMachine, '-monitor', 'stdio']
  return (await ask(program, args, signal, 'quit\n')).code === 0
}

export async function probeHost(
  config: EmbeddedHostConfig,
  program: string,
  dataDir: string,
  initiatorName: string,
  signal: AbortSignal,
): Promise<HostProbe> {
  const version = await versionOf(program, signal)
  const [iscsi, kvm] =
    version === undefined
      ? [false, false]
      : await Promise.all([hasIscsi(program, signal), hasKvm(program, signal)])
  const emulates = config.settings.accelerator === 'emulation'
  const checks: Check[] = [
    check(
      'hypervisor',
      version !== undefined,
      version ?? `no ${program}: VMs can be registered, not started`,
      qemuAdvice,
    ),
    check(
      'iSCSI in QEMU',
      iscsi,
      iscsi ? 'it opens LUNs by itself' : 'its iSCSI block driver is missing',
      qemuAdvice,
    ),
    // emulation runs every guest, slowly
    {
      name: 'acceleration',
      ok: true,
      detail: emulates ? 'emulation, as configured' : kvm ? 'KVM' : 'none: VMs are emulated',
    },
    check(
      'data folder',
      await canWrite(dataDir),
      dataDir,
      'Choose another folder with --data-dir, on a writable file system.',
    ),
  ]
  return {
    hostName: hostname(),
    hypervisor: version ?? 'none',
    osType: 'linux',
    initiatorName,
    attachMethod: 'console',
    fileSystems: [],
    checks,
  }
}

const check = (name: string, ok: boolean, detail: string, advice: string): Check =>
  ok ? { name, ok, detail } : { name, ok, detail, advice }

const canWrite = async (folder: string): Promise<boolean> => {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await access(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}
