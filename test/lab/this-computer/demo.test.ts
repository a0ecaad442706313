import { expect, test } from 'vitest'
import { runDemoCommand } from '#test/support/demo-run.ts'
import { describeLab } from '../describe-lab.ts'

describeLab('U8: the demo on this computer, with QEMU', () => {
  test('each of the five VMs boots from its LUN and says its own name and UUID; nothing is left', async () => {
    const { code, stdout, stderr, left } = await runDemoCommand({
      args: ['--json'],
      path: process.env['PATH'] ?? '',
    })
    expect(code, stderr + stdout).toBe(0)
    const { booted, vms } = JSON.parse(stdout) as {
      booted: boolean
      vms: { name: string; uuid: string; says: string }[]
    }
    expect(booted).toBe(true)
    expect(vms).toHaveLength(5)
    for (const { name, uuid, says } of vms) expect(says).toBe(`VMREADY ${name} ${uuid} boots=01`)
    expect(left).toEqual([])
  })

  test('Ctrl-C while the VMs run: they are gone, and with them all else', async () => {
    let isSent = false
    const { code, stdout, stderr, left } = await runDemoCommand({
      path: process.env['PATH'] ?? '',
      onText(text, kill) {
        if (isSent || !text.includes('web-5 says:')) return
        isSent = true
        kill('SIGINT')
      },
    })
    expect(code, stderr + stdout).toBe(130)
    expect(left).toEqual([])
  })
})
