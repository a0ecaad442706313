import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSshPool } from '#main/transports/ssh/pool.ts'
import { describeArrayDriver } from '#test/contract/array-driver.ts'
import { createLinuxStorageBench } from '#test/contract/linux-storage-bench.ts'
import { describeLab, theLab } from './describe-lab.ts'

describeLab('the lab’s array', () => {
  describeArrayDriver('linux-storage over the sessions of two consoles', async () => {
    const lab = theLab()
    const config = lab.arrayConfig({ lunLimitPerVolume: 4 })
    const dataDir = mkdtempSync(join(tmpdir(), 'gantry-ssh-'))
    const secrets = { getSecret: () => Promise.resolve(undefined) }
    const pools = [1, 2].map(() => createSshPool({ dataDir, homeDir: dataDir, env: {}, secrets }))
    const [one, other] = pools.map((pool) => pool.session('array lab-array', config.connection))
    if (one === undefined || other === undefined) throw new Error('no sessions')

    const { small } = lab.state.array.volumes
    const fill = 'for size in 1M 4k; do dd if=/dev/zero of=fill.$size bs=$size status=none || sync .; done'
    await lab.array.machine.run(`cd ${small} && ${fill}`)
    return {
      bench: createLinuxStorageBench({
        config,
        shells: [one, other],
        shell: other,
        volume: 'vol1',
        fullVolume: 'small',
        async restartTarget() {
          await lab.killArrayDaemon()
          await lab.startArrayDaemon()
        },
      }),
      async close() {
        await Promise.all(pools.map((pool) => pool.close()))
        await lab.array.machine.run(`rm ${small}/fill.*`)
        rmSync(dataDir, { recursive: true })
      },
    }
  })
})
