import { beforeAll, expect, test } from 'vitest'
import { describeLab, theLab } from './describe-lab.ts'
import { diffDevices, lastingDifferences, observeDevices } from './inventory-of-devices.ts'

const target = 'iqn.2026-11.gantry.lab:for-the-guest'

describeLab('the guest, a second host', () => {
  // The first time on a computer its disk is made: some hundred packages are downloaded and configured.
  beforeAll(() => theLab().ensureGuest(), 1_500_000)

  test('logs in to a LUN of the array with the kernel initiator; the inventory shows what it leaves', async () => {
    const lab = theLab()
    const { iqn, portalAsSeen } = lab.state.guest
    const file = `${lab.state.array.volumes.vol1}/for-the-guest.ctr`
    const tgtadm = `tgtadm -C ${lab.state.array.tgtControlPort} --lld iscsi`
    const node = `iscsiadm -m node -T ${target} -p ${portalAsSeen}`
    await lab.array.machine.run(`
      truncate -s 16M ${file}
      ${tgtadm} --op new --mode target --tid 9 -T ${target}
      ${tgtadm} --op new --mode logicalunit --tid 9 --lun 1 -b ${file}
      ${tgtadm} --op bind --mode target --tid 9 --initiator-name ${iqn}`)
    try {
      const before = await observeDevices(lab)
      // No discovery: the array tells its portal as 127.0.0.1, which from here is the guest itself.
      const disk = `/dev/disk/by-path/ip-${portalAsSeen}-iscsi-${target}-lun-1`
      const { stdout } = await lab.guest.run(`
        set -e
        ${node} -o new
        ${node} --login
        udevadm settle
        printf written-by-the-guest > ${disk}
        blockdev --getsize64 ${disk}`)
      expect(stdout.trim().split('\n').at(-1)).toBe(String(16 * 1024 * 1024))
      const found = diffDevices(before, await observeDevices(lab)).join('\n')
      expect(found).toContain(`guest: iSCSI session tcp: ${portalAsSeen},1 ${target} (non-flash) is new`)
      expect(found).toMatch(/guest: iSCSI node record \S+ iqn\.2026-11\.gantry\.lab:for-the-guest is new/)
      expect(found).toContain(`is: open to ${iqn}, sessions of ${iqn}`)
      await lab.guest.run(`set -e; sync; ${node} --logout; ${node} -o delete`)
      expect(await lastingDifferences(lab, before)).toEqual([])
      const head = await lab.array.machine.run(`head -c 20 ${file}`)
      expect(head.stdout).toBe('written-by-the-guest')
    } finally {
      await lab.array.machine.run(`${tgtadm} --op delete --force --mode target --tid 9; rm -f ${file}`)
    }
  })

  test('has a libvirt of its own, which starts a VM (emulated in the emulated machine)', async () => {
    const lab = theLab()
    const { stdout } = await lab.host.machine.run(`
      sed -e "s|<serial type='pty'>|<serial type='pty'><log file='/root/tiny.log'/>|" \\
        -e "s|<source file=.*|<source file='/root/tiny.raw'/>|" ${lab.state.tiny.folder}/vm.xml`)
    const answer = await lab.guest.run(
      `
      set -e
      truncate -s 4M /root/tiny.raw
      base64 -d > /root/boot <<'END'\n${(await lab.host.machine.run(`head -c 512 ${lab.state.tiny.raw} | base64`)).stdout}END
      dd if=/root/boot of=/root/tiny.raw conv=notrunc status=none
      virsh -q -c qemu:///system create /dev/stdin
      timeout 60 sh -c 'until grep -a "VMREADY ${lab.state.tiny.domain} " /root/tiny.log; do sleep 0.2; done'
      virsh -q -c qemu:///system destroy ${lab.state.tiny.domain}
      rm /root/tiny.raw /root/tiny.log /root/boot`,
      { input: stdout },
    )
    expect(answer.stdout).toContain(`VMREADY ${lab.state.tiny.domain} `)
  })
})
