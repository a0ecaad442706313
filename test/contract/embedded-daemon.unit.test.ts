import { once } from 'node:events'
import { readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { beforeEach, afterEach, expect, test } from 'vitest'
import { MiB } from '#shared/units/bytes.ts'
import { findTheOne } from '#main/drivers/arrays/embedded/daemon/become-the-one.ts'
import { daemonPlaces, socketFolder } from '#main/drivers/arrays/embedded/daemon/places.ts'
import { runDaemon } from '#main/drivers/arrays/embedded/daemon/run-daemon.ts'
import { backupOf, readTable } from '#main/drivers/arrays/embedded/daemon/state-file.ts'
import { startDaemon } from '#main/drivers/arrays/embedded/daemon/start.ts'
import { createDaemonClient } from '#main/drivers/arrays/embedded/daemon-client.ts'
import { objectPath, volumePath } from '#main/drivers/arrays/layout.ts'
import { startIscsiTarget } from '#main/transports/iscsi-target/target.ts'
import { createIscsiInitiator } from '#main/transports/iscsi/initiator.ts'
import type { ObjectRef } from '#shared/domain/storage.ts'
import { failureOf, Scratch } from './array-bench.ts'
import { startEmbeddedBench } from './embedded-bench.ts'
import type { EmbeddedBench } from './embedded-bench.ts'

const never = new AbortController().signal
const host = 'iqn.2026-11.gantry.test:host-a'

let array: EmbeddedBench
let scratch: Scratch
// each test has a process of its own, which takes a second to start
beforeEach(async () => {
  array = await startEmbeddedBench()
  scratch = new Scratch(array.bench)
})
afterEach(() => array.close())

const pid = async (): Promise<number> => {
  const client = createDaemonClient(array.folder, '0.0.0', 'array lab')
  return (await client.ask({ do: 'show' }, never)).greeting.pid
}

/** Kills the process without any warning; resolves when it is gone. */
async function kill(): Promise<void> {
  const id = await pid()
  const socket = await findTheOne(array.folder)
  if (socket === undefined) throw new Error('it does not run')
  const gone = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => undefined).resume()
  process.kill(id, 'SIGKILL')
  await gone
}

async function mapped() {
  const lun = scratch.lunOf(await scratch.create())
  await scratch.run(scratch.driver.createLun(lun, host))
  return lun
}

const fileOf = (ref: ObjectRef): string => join(volumePath(array.config, ref.volume), objectPath(ref))
/** Whether anything listens on the portal; an initiator would try again and again. */
async function listens(): Promise<boolean> {
  const socket = connect(Number(array.config.settings.portal.split(':')[1]), '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

test('after kill -9 the next question brings it back, with identity, map and bytes of its LUNs', async () => {
  const lun = await mapped()
  await scratch.bench.writeObject(lun.backing, 0, Buffer.from('precious'))
  const before = await pid()
  await kill()
  expect(await scratch.driver.findLun(lun, never)).toMatchObject({ serial: lun.serial, mappedTo: [host] })
  expect(await pid()).not.toBe(before)
  expect(await scratch.canSee(lun, host)).toEqual({ serial: lun.serial, naa: lun.naa })
  const start = await scratch.driver.readObject(lun.backing, [{ offset: 0, lengthBytes: 8 }], never)
  expect(Buffer.concat(start.parts).toString()).toBe('precious')
})

test('killed in the middle of a request: each LUN is there wholly or not at all, and the same again succeeds', async () => {
  const luns = await Promise.all(Array.from({ length: 4 }, async () => scratch.lunOf(await scratch.create())))
  for (const delayed of [0, 3]) {
    const id = await pid()
    const runs = luns.map((lun, index) => {
      if (index === delayed) process.kill(id, 'SIGKILL')
      return scratch.run(scratch.driver.createLun(lun, host)).catch((error: unknown) => error)
    })
    await Promise.all(runs)
    for (const lun of luns) {
      const found = await scratch.driver.findLun(lun, never)
      if (found !== undefined) expect(found).toMatchObject({ sizeBytes: 4 * MiB, mappedTo: [host] })
      await scratch.run(scratch.driver.createLun(lun, host))
      await scratch.run(scratch.driver.createLun(lun, host))
    }
    expect(await scratch.driver.listLuns(never)).toHaveLength(luns.length)
    for (const lun of luns) await scratch.run(scratch.driver.deleteLun(lun))
  }
}, 60_000)

test('consoles that start it at once end with one process; sockets of dead ones are cleared away', async () => {
  for (const round of [1, 2]) {
    await Promise.all(Array.from({ length: 4 }, () => startDaemon(array.folder, '0.0.0')))
    const ids = await Promise.all(Array.from({ length: 4 }, pid))
    expect(new Set(ids).size, `round ${round}`).toBe(1)
    await kill()
  }
  await pid()
  expect(readdirSync(array.folder).filter((name) => name.endsWith('.sock'))).toHaveLength(1)
})

test('what it serves no array of another data folder on the same volume deletes or serves', async () => {
  const lun = await mapped()
  const other = await startEmbeddedBench({
    volumes: { volume: 'own', paths: array.config.settings.volumes },
  })
  try {
    const actions = [
      other.bench.driver.deleteObject(lun.backing, scratch.job),
      other.bench.driver.createLun({ ...scratch.lunOf(lun.backing), backing: lun.backing }, host),
    ]
    for (const action of actions) {
      const { error } = await failureOf(scratch.run(action))
      expect(error).toMatchObject({
        code: 'busy',
        message: 'Another Gantry serves a LUN that is made from it',
      })
    }
    await scratch.run(scratch.driver.deleteLun(lun))
    await scratch.run(other.bench.driver.deleteObject(lun.backing, scratch.job))
    expect(await scratch.driver.findObject(lun.backing, never)).toBeUndefined()
  } finally {
    await other.close()
  }
})

test('only the user may speak to it or read what it keeps', async () => {
  await mapped()
  const modes = readdirSync(array.folder).map((name) => [
    name,
    statSync(join(array.folder, name)).mode & 0o077,
  ])
  expect(modes.length).toBeGreaterThan(2)
  expect(modes.filter(([, mode]) => mode !== 0)).toEqual([])
  expect(statSync(array.folder).mode & 0o077).toBe(0)
})

test('a port that something else uses is busy with advice; LUNs are still listed, and served when it is free', async () => {
  const lun = await mapped()
  await array.stop()
  const port = Number(array.config.settings.portal.split(':')[1])
  const other = createServer().listen(port, '127.0.0.1')
  await once(other, 'listening')
  expect((await scratch.driver.listLuns(never)).map(({ target }) => target)).toEqual([lun.target])
  const { error } = await failureOf(scratch.run(scratch.driver.createLun(lun, host)))
  expect(error.code).toBe('busy')
  expect(error.advice).toBeDefined()
  const { checks } = await scratch.driver.probe(never)
  expect(checks.find(({ name }) => name === 'serving')).toMatchObject({ ok: false })
  const closed = once(other, 'close')
  other.close()
  await closed
  await scratch.driver.listLuns(never)
  expect(await scratch.canSee(lun, host)).toBeDefined()
})

test('a damaged table is refused with the place of its backup, and nothing is served from it', async () => {
  const lun = await mapped()
  await scratch.run(scratch.driver.unmapLun(lun, host))
  await scratch.run(scratch.driver.mapLun(lun, host))
  const { table } = daemonPlaces(array.folder)
  const whole = readFileSync(table, 'utf8')
  const damages = [
    whole.slice(0, whole.length / 2),
    '',
    whole.replace('"version":1', '"version":2'),
    whole.replace(lun.serial, lun.serial.replaceAll(/./g, 'f')),
  ]
  await array.stop()
  for (const damage of damages) {
    writeFileSync(table, damage)
    const { error } = await failureOf(readTable(table))
    expect(error).toMatchObject({ code: 'device-rejected', facts: { backup: backupOf(table) } })
    expect(error.advice).toContain('gantry lun restore')
  }
  const create = scratch.driver.createLun(lun, host)
  const remove = scratch.driver.deleteObject(lun.backing, scratch.job)
  for (const work of [
    () => scratch.driver.listLuns(never),
    () => scratch.run(create),
    () => scratch.run(remove),
  ])
    expect((await failureOf(work())).error.facts['backup']).toBe(backupOf(table))
  expect(await listens()).toBe(false)
  expect(await scratch.driver.findObject(lun.backing, never)).toBeDefined()
  rmSync(table)
  expect((await failureOf(scratch.driver.listLuns(never))).code).toBe('device-rejected')
  rmSync(backupOf(table), { force: true })
  const restore = scratch.driver.restoreLuns?.([{ lun, initiators: [host] }])
  if (restore === undefined) throw new Error('it cannot restore')
  await scratch.run(restore)
  expect(await scratch.canSee(lun, host)).toEqual({ serial: lun.serial, naa: lun.naa })
}, 60_000)

test('a LUN whose object is gone, or is another one, is not served; it is again when its own is back', async () => {
  const lun = await mapped()
  const volume = volumePath(array.config, lun.backing.volume)
  const path = fileOf(lun.backing)
  await array.stop()
  renameSync(volume, `${volume}.away`)
  expect(await scratch.driver.findLun(lun, never)).toMatchObject({ sizeBytes: 0 })
  expect(await scratch.canSee(lun, host)).toBeUndefined()
  const { checks } = await scratch.driver.probe(never)
  const failed = checks.filter(({ ok }) => !ok).map(({ name }) => name)
  expect(failed).toEqual([`LUN ${lun.name}`, 'volume own'])

  await array.stop()
  renameSync(`${volume}.away`, volume)
  renameSync(`${path}.gantry`, `${path}.gantry-own`)
  symlinkSync('job=somebody', `${path}.gantry`)
  await scratch.driver.listLuns(never)
  expect(await scratch.canSee(lun, host)).toBeUndefined()
  const { error } = await failureOf(scratch.run(scratch.driver.createLun(lun, host)))
  expect(error.code).toBe('stale')
  expect(error.facts['found']).toContain('somebody')

  renameSync(`${path}.gantry-own`, `${path}.gantry`)
  await scratch.driver.listLuns(never)
  expect(await scratch.canSee(lun, host)).toEqual({ serial: lun.serial, naa: lun.naa })
})

test('stopping is refused while an initiator is logged in, names it, and --force does it; LUNs are kept', async () => {
  const lun = await mapped()
  const session = await scratch.logIn(lun, host)
  const stop = (force: boolean) => scratch.driver.stop?.({ force }).run({ signal: never })
  const { error } = await failureOf(stop(false) ?? Promise.resolve())
  expect(error.code).toBe('busy')
  expect(error.facts[lun.name]).toContain(host)
  await session.read()
  await stop(true)
  await stop(true)
  expect(await listens()).toBe(false)
  await scratch.driver.listLuns(never)
  expect(await scratch.canSee(lun, host)).toBeDefined()
  await session.logOut().catch(() => undefined)
})

test('a CHAP secret reaches the process alone: after its restart the portal stays closed until the secret is given', async () => {
  const secret = 'canary-secret-0123'
  const config = {
    ...array.config,
    settings: {
      ...array.config.settings,
      login: { user: 'lab', password: { from: 'env' as const, variable: 'CHAP' } },
    },
  }
  const [knows, forgot] = [secret, undefined].map((password) => array.console(config, password))
  if (knows === undefined || forgot === undefined) throw new Error('no consoles')
  const lun = scratch.lunOf(await scratch.create())
  await array.stop()
  await scratch.run(knows.createLun(lun, host))
  const id = await pid()
  const seen = [
    readFileSync(`/proc/${id}/cmdline`, 'utf8'),
    readFileSync(`/proc/${id}/environ`, 'utf8'),
    ...readdirSync(array.folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8')),
  ]
  expect(seen.filter((text) => text.includes(secret))).toEqual([])

  const open = async (given?: string, meanwhile = (): Promise<void> => Promise.resolve()): Promise<void> => {
    const initiator = createIscsiInitiator(host)
    try {
      const device = await initiator.open(
        {
          ...knows.addressOf(lun),
          ...(given === undefined ? {} : { credentials: { name: 'lab', secret: given } }),
        },
        never,
      )
      await meanwhile()
      await device.close()
    } finally {
      await initiator.close()
    }
  }
  await open(secret)
  for (const wrong of ['canary-secret-9999', undefined])
    expect((await failureOf(open(wrong))).code).toBe('auth-failed')

  await kill()
  expect((await forgot.listLuns(never)).map(({ target }) => target)).toEqual([lun.target])
  const { error } = await failureOf(scratch.run(forgot.createLun(lun, host)))
  expect(error.code).toBe('auth-failed')
  expect(error.advice).toContain('variable')
  expect(await listens()).toBe(false)
  await scratch.run(knows.createLun(lun, host))
  await open(secret)

  const changed = 'changed-secret-0123'
  await open(secret, async () => {
    const mistyped = array.console(config, changed)
    expect((await mistyped.listLuns(never)).map(({ sessions }) => sessions)).toEqual([[host]])
    const refusal = await failureOf(scratch.run(mistyped.createLun(lun, host)))
    expect(refusal.error).toMatchObject({ code: 'auth-failed', facts: { [lun.name]: host } })
    expect((await mistyped.probe(never)).checks).toContainEqual(
      expect.objectContaining({
        name: 'serving',
        ok: false,
        detail: expect.stringContaining(host) as string,
      }),
    )
    await open(secret)
    await scratch.run(knows.createLun(lun, host))
  })
  await array.console(config, changed).listLuns(never)
  await open(changed)
  expect((await failureOf(open(secret))).code).toBe('auth-failed')
  // a console that has to ask does so for a closed portal, and where it is looked at
  const login = { user: 'lab', password: { from: 'prompt' as const } }
  const asks = array.console({ ...config, settings: { ...config.settings, login } }, secret)
  await asks.listLuns(never)
  await open(changed)
  await asks.probe(never)
  await open(secret)
}, 60_000)

test('a process without LUNs ends by itself', async () => {
  const daemon = await runDaemon({
    folder: array.folder,
    version: '0.0.0',
    startTarget: startIscsiTarget,
    log: () => undefined,
    idleMs: 20,
  })
  await daemon?.ended
  expect(daemon).toBeDefined()
})

test('a data folder whose name is too long for a socket has its socket elsewhere, for the user alone', async () => {
  const folder = join(array.folder, 'x'.repeat(120))
  const client = createDaemonClient(folder, '0.0.0', 'array long')
  const { greeting } = await client.ask({ do: 'show' }, never)
  expect((await client.ask({ do: 'show' }, never)).greeting.pid).toBe(greeting.pid)
  const sockets = await socketFolder(folder)
  expect(statSync(sockets).mode & 0o077).toBe(0)
  await client.askIfRunning({ do: 'stop', force: false }, never)
  expect(readdirSync(sockets)).toEqual([])
  rmSync(sockets, { recursive: true })
})
