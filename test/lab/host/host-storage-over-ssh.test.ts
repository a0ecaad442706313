import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import type { SshPool } from '#main/transports/ssh/contract.ts'
import { createSshPool } from '#main/transports/ssh/pool.ts'
import { describeLab, theLab } from '../describe-lab.ts'
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

describeLab("host storage on the lab's host, over SSH, attached in user space", () => {
  runHostPromises(() => {
    const config = theLab().hostConfig()
    const initiator = theLab().state.host.iqn
    return Promise.resolve({ config, shell: pool.session('host lab-host', config.connection), initiator })
  })
})

/*
 * An emulated machine runs a script some hundred times slower, so without GANTRY_LAB_GUEST=all only the promises run
 * that lead once through the driver's other way of attaching.
 */
const ofAttaching = /^(A4: attached|A7|A5, A9: a unit with gpt and xfs)/
const isAll = process.env['GANTRY_LAB_GUEST'] === 'all'

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
    ({ name, onlyUserSpace }) => onlyUserSpace !== true && (isAll || ofAttaching.test(name)),
  )
})
