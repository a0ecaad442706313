import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import type { HostDriver, PrepareUnit, UnitFiles } from '#main/drivers/hosts/contract.ts'
import { sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import type { FileSystemType, LunAddress } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { ErrorCode } from '#shared/errors/app-error.ts'
import { MiB } from '#shared/units/bytes.ts'

export type HostStorageDriver = Pick<HostDriver, 'attachLun' | 'findAttached' | 'detachLun'> &
  Omit<UnitFiles, 'describeVm'>

/** A host with a driver under test, and an array whose LUNs it may have. */
export interface HostStorageBench {
  readonly driver: HostStorageDriver
  /** The host itself, to make source files and to look behind the driver's back. */
  readonly shell: Shell
  /** An empty directory of the host's for source files. */
  readonly scratch: string
  /** A new LUN, mapped to the host. `onFullVolume`: the volume under it is full after 64 MiB. */
  newLun(sizeBytes: number, onFullVolume?: boolean): Promise<LunAddress>
  /** Puts another LUN (serial, content) in the place of this one, under the same target name. */
  replaceLun(lun: LunAddress): Promise<void>
  /** From now on the array exports this LUN for reading only. */
  protectLun(lun: LunAddress): Promise<void>
  /** From now on the array asks for this CHAP login. */
  askForChap(lun: LunAddress, user: string, secret: string): Promise<void>
  /** The driver of a console that is given this secret; undefined: none. */
  driverThatKnows(secret: string | undefined): HostStorageDriver
  /** How many initiators are logged in. */
  countSessions(lun: LunAddress): Promise<number>
  /** The file under the LUN, where the test process can reach it. */
  backingOf(lun: LunAddress): string
}

export interface HostPromise {
  readonly name: string
  /** Only where LUNs are attached in user space: its processes can be killed. */
  readonly onlyUserSpace?: boolean
  run(bench: HostStorageBench): Promise<void>
}

export const never = new AbortController().signal
export const context = { signal: never }

/** Runs a script on the host; its standard output. */
export async function onHost(bench: HostStorageBench, script: ShellScript): Promise<string> {
  return stdoutText(await bench.shell.run(script, { signal: never, timeoutMs: 120_000 })).trimEnd()
}

export async function assertFails(code: ErrorCode, work: Promise<unknown>): Promise<AppError> {
  const error = await work.then(
    () => assert.fail(`should have failed with ${code}`),
    (reason: unknown) => reason,
  )
  if (!(error instanceof AppError)) throw error
  assert.equal(error.code, code, `${error.message}: ${JSON.stringify(error.facts)}`)
  return error
}

/** Asks until the condition holds; fails after ten seconds. */
export async function eventually(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await condition())) assert.ok(Date.now() < deadline, `not within ten seconds: ${what}`)
}

/** Names of the host's files and processes (arguments, environment) that hold the text, which is in none itself. */
export async function findOnHost(bench: HostStorageBench, text: string): Promise<string> {
  const script = sh`cd ${bench.driver.mountPointOf(nowhere).replace(/luns.*/, '')}
IFS= read -r text
{ printf '%s\n' "$text" | grep -rlsaF -f - . /etc/iscsi/nodes /var/lib/iscsi/nodes
printf '%s\n' "$text" | grep -lsaF -f - /proc/[0-9]*/cmdline /proc/[0-9]*/environ; } || true`
  const stdin = Buffer.from(`${text}\n`)
  return stdoutText(await bench.shell.run(script, { signal: never, stdin })).trimEnd()
}
const nowhere = { name: 'x', target: 'iqn.2026-11.x:x', lun: 1, serial: 'x', naa: '', portal: 'x:1' }

/** Ends a process of the host and waits until it has. */
export async function endProcess(bench: HostStorageBench, pid: string): Promise<void> {
  await onHost(bench, sh`kill -KILL ${pid}`)
  await eventually(
    `process ${pid} has ended`,
    async () => (await onHost(bench, sh`cat /proc/${pid}/cmdline 2>/dev/null || true`)) === '',
  )
}

export const sizeFor: Record<FileSystemType, number> = { ext4: 96 * MiB, xfs: 400 * MiB, ntfs: 96 * MiB }

export const unitSpec = (lun: LunAddress, fileSystem: FileSystemType = 'ext4'): PrepareUnit => ({
  lun,
  unitId: randomUUID(),
  partitionTable: 'gpt',
  fileSystem,
  fileSystemUuid: randomUUID(),
  label: 'unit',
})

/** A LUN with an attached, formatted and mounted unit. */
export async function mountedUnit(
  bench: HostStorageBench,
  fileSystem: FileSystemType = 'ext4',
  onFullVolume = false,
): Promise<LunAddress> {
  const { driver } = bench
  const lun = await bench.newLun(sizeFor[fileSystem], onFullVolume)
  await driver.attachLun(lun).run(context)
  await driver.prepareUnit(unitSpec(lun, fileSystem)).run(context)
  await driver.mountUnit(lun, { fileSystem }).run(context)
  return lun
}

/** Unmounts and detaches, and checks that nothing is left on either side. */
export async function putAway(bench: HostStorageBench, lun: LunAddress): Promise<void> {
  await bench.driver.unmountUnit(lun).run(context)
  await bench.driver.detachLun(lun).run(context)
  await assertGone(bench, lun)
}

export async function assertGone(bench: HostStorageBench, lun: LunAddress): Promise<void> {
  assert.equal(await bench.driver.findAttached(lun, never), undefined)
  await eventually('no session', async () => (await bench.countSessions(lun)) === 0)
  const left = await onHost(
    bench,
    sh`grep -lsaF -e ${lun.serial} /proc/[0-9]*/cmdline | while IFS=/ read -r _ _ pid _; do
  case $(cat "/proc/$pid/comm" 2>/dev/null) in qemu-nbd | nbdfuse | cp | dd | qemu-img | mount.ntfs*) echo "$pid" ;; esac
done
grep -sF -e ${lun.serial} /proc/mounts /sys/block/loop*/loop/backing_file /sys/class/iscsi_session/*/targetname || true
ls -d ${bench.driver.mountPointOf(lun).replace(/mnt$/, '')} ${bench.driver.mountPointOf(lun).replace(/\/mnt$/, '.lock')} 2>/dev/null || true`,
  )
  assert.equal(left, '', 'left on the host')
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
