import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import type { SshPool } from '#main/transports/ssh/contract.ts'
import { createSshPool } from '#main/transports/ssh/pool.ts'
import { describeLab, theLab } from '../describe-lab.ts'
import type { HostPromise } from '#test/contract/host-storage-bench.ts'
import { runHostPromises } from './run-promises.ts'

let directory: string
let pool: SshPool
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gantry-pool-'))
  const secrets = { getSecret: () => Promise.resolve(undefined) }
  pool = createSshPool({ dataDir: directory, homeDir: directory, env: {}, secrets })
})
afterAll(async () => {
  await pool.close()
  await rm(directory, { recursive: true })
})

/*
 * host-storage.test.ts holds the driver to all promises without SSH. Here those run that lead once through each way
 * of attaching; all of them with GANTRY_LAB_GUEST=all (an emulated machine runs a script some hundred times slower).
 */
const ofAttaching = /^(A4: attached|A7|A5, A9: a unit with gpt and xfs)/
const isAll = process.env['GANTRY_LAB_GUEST'] === 'all'
const overSsh = ({ name }: HostPromise): boolean => isAll || ofAttaching.test(name)

describeLab("host storage on the lab's host, over SSH, attached in user space", () => {
  runHostPromises(() => {
    const config = theLab().hostConfig()
    const initiator = theLab().state.host.iqn
    return Promise.resolve({ config, shell: pool.session('host lab-host', config.connection), initiator })
  }, overSsh)
})

describeLab("host storage on the lab's guest, over SSH, attached with open-iscsi", () => {
  beforeAll(() => theLab().ensureGuest(), 1_500_000)
  runHostPromises(
    () => {
      const config = theLab().guestConfig()
      const { iqn: initiator, portalAsSeen } = theLab().state.guest
      const address = portalAsSeen.replace(/:\d+$/, '')
      const shell = pool.session('host lab-guest', config.connection)
      return Promise.resolve({ config, shell, initiator, address })
    },
    (promise) => promise.onlyUserSpace !== true && overSsh(promise),
  )
})
