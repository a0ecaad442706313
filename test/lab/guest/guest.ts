import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cached, contentOf } from '../cache.ts'
import { exec, waitFor } from '../exec.ts'
import type { ExecOptions, ExecResult } from '../exec.ts'
import { endProcess, findProcess, isRunning, lastLines, startProcess } from '../processes.ts'
import { labKeys, runOverSsh } from '../ssh.ts'
import type { LabState } from '../state.ts'
import { prepareKernel } from '../template/template.ts'
import { findAptSource } from './apt-source.ts'

const here = import.meta.dirname

const words = (text: string): string[] => text.trim().split(/\s+/)

const packages = words(`
  open-iscsi sg3-utils xfsprogs e2fsprogs ntfs-3g fdisk qemu-utils
  libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86
  openssh-server udev kmod iproute2 procps psmisc`)

/** The guest's disk, in the cache. The first time this downloads some hundred packages. */
async function prepareGuestDisk(kernel: string): Promise<string> {
  const script = join(here, 'build-guest.sh')
  const init = join(here, 'guest-init.sh')
  const { mirror, suite } = findAptSource()
  const fingerprint = [contentOf(script, init), kernel, suite, ...packages]
  const dir = await cached('guest', fingerprint, async (out) => {
    const args = [script, out, kernel, init, suite, mirror, packages.join(',')]
    await exec('unshare', ['--mount', '/bin/sh', ...args], { timeoutMs: 1_200_000 })
  })
  return join(dir, 'disk.raw')
}

/** Makes the guest's disk if it is not in the cache yet, so that the tests do not wait for it. */
export async function prefetchGuestDisk(): Promise<void> {
  await prepareGuestDisk(await prepareKernel())
}

/**
 * The second host: a virtual machine with the kernel's own iSCSI initiator and libvirt, whose VMs are emulated
 * inside the emulated machine. It reaches the array's portal as 10.0.2.2 (QEMU's user network).
 */
export class LabGuest {
  readonly #state: LabState
  readonly #root: string
  readonly #runDir: string

  constructor(state: LabState) {
    this.#state = state
    this.#root = join(state.dir, 'guest')
    this.#runDir = join(state.dir, 'run')
  }

  isUp(): boolean {
    return findProcess(this.#runDir, 'guest') !== undefined
  }

  /** Boots it and waits until it answers over SSH. Running: only waits. */
  async start(): Promise<void> {
    if (!this.isUp()) await this.#boot()
    await waitFor(
      'libvirtd in the guest',
      async () => {
        // The folder comes with a package of Debian's that the guest does without; libvirt logs consoles there.
        const ask = 'mkdir -p /var/log/libvirt/qemu && virsh -q -c qemu:///system version'
        const answer = await this.run(ask, { expectExit: [0, 1, 127, 255] })
        return answer.exitCode === 0
      },
      180_000,
      async () => (await this.run('tail -n 5 /var/log/libvirtd.out', { expectExit: [0, 1, 255] })).stdout,
    )
  }

  async #boot(): Promise<void> {
    const { dir, guest } = this.#state
    const kernel = await prepareKernel()
    const base = await prepareGuestDisk(kernel)
    mkdirSync(this.#root, { recursive: true })
    const disk = join(this.#root, 'disk.qcow2')
    if (!existsSync(disk))
      await exec('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', disk])
    const serial = join(this.#root, 'serial.log')
    rmSync(serial, { force: true })
    writeFileSync(join(this.#root, 'iqn'), guest.iqn)
    const logFile = join(this.#root, 'qemu.log')
    const process = await startProcess({
      labDir: dir,
      runDir: this.#runDir,
      name: 'guest',
      command: ['qemu-system-x86_64', ...this.#qemuArguments(kernel, disk, serial)],
      logFile,
    })
    await waitFor(
      'the guest to come up',
      () => {
        if (!isRunning(process)) throw new Error(`The guest ended: ${lastLines(logFile)}`)
        return lastLines(serial, 100).includes('GUESTREADY')
      },
      300_000,
      () => lastLines(serial),
    )
  }

  #qemuArguments(kernel: string, disk: string, serial: string): string[] {
    const keys = labKeys(this.#state.dir)
    const given = {
      'authorized-keys': keys.authorizedKeysFile,
      'host-key': keys.hostKeyFile('guest'),
      initiator: join(this.#root, 'iqn'),
    }
    const kernelLine =
      'console=ttyS0,115200 quiet loglevel=3 mitigations=off net.ifnames=0 random.trust_cpu=on panic=5'
    const files = Object.entries(given).flatMap(([name, file]) => [
      '-fw_cfg',
      `name=opt/org.gantry.lab/${name},file=${file}`,
    ])
    // No path here holds a blank: checkLabDir sees to the lab's, and the kernel line is an argument of its own.
    const machine = words(`
      -name gantry-lab-guest -nodefaults -display none -machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 768
      -drive file=${disk},format=qcow2,if=virtio,cache=unsafe,discard=unmap
      -netdev user,id=net,hostfwd=tcp:127.0.0.1:${this.#state.guest.sshPort}-:22
      -device virtio-net-pci,netdev=net -serial file:${serial}`)
    const boot = ['-kernel', join(kernel, 'vmlinuz'), '-initrd', join(kernel, 'initrd.gz')]
    return [...machine, ...boot, '-append', kernelLine, ...files]
  }

  /** Runs shell text in the guest as root, over OpenSSH. */
  run(script: string, options: ExecOptions = {}): Promise<ExecResult> {
    return runOverSsh(labKeys(this.#state.dir), this.#state.guest.sshPort, script, options)
  }

  /** Pulls the plug. Not running: nothing. */
  async stop(): Promise<void> {
    const process = findProcess(this.#runDir, 'guest')
    if (process !== undefined) await endProcess(process)
  }
}
