import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Stats } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { LunIdentity } from '#shared/domain/storage.ts'
import { toAppError, AppError } from '#shared/errors/app-error.ts'
import type { ChapSettings, IscsiTarget, StartIscsiTarget } from '#main/transports/iscsi-target/contract.ts'
import type { Portal } from '#main/transports/iscsi/portal.ts'
import { lockFile, type FileLock } from '#main/transports/local/file-lock.ts'
import { markExtension, objectPath } from '../../layout.ts'
import { translateError } from '../errors.ts'
import { readMark, statOf, withdraw } from '../publish.ts'
import type { DaemonState, LunSpec, Request, ServedLun } from './protocol.ts'
import * as refuse from './refusals.ts'
import { readTable, writeTable } from './state-file.ts'
import type { TableLun } from './state-file.ts'

export interface LunServerOptions {
  readonly tablePath: string
  /** Where the target keeps what LUNs remember. */
  readonly targetFolder: string
  readonly startTarget: StartIscsiTarget
  readonly log: (text: string) => void
}

type RequestOf<Do extends Request['do']> = Extract<Request, { do: Do }>

/**
 * The table of LUNs and what serves them. The table on the disk comes first: it is changed before a LUN or a map
 * appears and before it goes away, so that a process that is killed in between begins again with what was asked for.
 */
export class LunServer {
  readonly #options: LunServerOptions
  readonly #startedAt = new Date().toISOString()
  #luns: readonly TableLun[]
  readonly #locks = new Map<string, FileLock>()
  #target: IscsiTarget | undefined
  /** What initiators must prove. */
  #chap: ChapSettings | undefined
  /** By target name: why a LUN of the table is not served. */
  readonly #problems = new Map<string, string>()
  #isClosed = false
  #last: Promise<unknown> = Promise.resolve()

  /** Throws device-rejected when the table on the disk is damaged. */
  static async open(options: LunServerOptions): Promise<LunServer> {
    return new LunServer(options, await readTable(options.tablePath))
  }

  private constructor(options: LunServerOptions, luns: readonly TableLun[]) {
    this.#options = options
    this.#luns = luns
  }

  get isEmpty(): boolean {
    return this.#luns.length === 0
  }

  state(): DaemonState {
    return {
      ...(this.#target === undefined ? {} : { portal: format(this.#target.portal) }),
      startedAt: this.#startedAt,
      luns: this.#luns.map((lun) => this.#describe(lun)),
    }
  }

  /** One request after the other: what one has looked at does not change under it. */
  handle(request: Request): Promise<void> {
    const turn = this.#last.then(() => this.#handle(request))
    this.#last = turn.catch(() => undefined)
    return turn
  }

  /** Ends serving; the table stays. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#last
    await this.#target?.close()
    this.#target = undefined
  }

  async #handle(request: Request): Promise<void> {
    if (this.#isClosed) throw refuse.isEnding()
    switch (request.do) {
      case 'show':
        return
      case 'serve':
        return this.#serve(request)
      case 'create-lun':
        return this.#create(
          request.spec,
          request.initiator === undefined ? [] : [request.initiator],
          request.lunLimit,
        )
      case 'restore-luns':
        return this.#restore(request)
      case 'map-lun':
        return this.#map(request)
      case 'unmap-lun':
        return this.#unmap(request)
      case 'delete-lun':
        return this.#delete(request)
      case 'delete-object':
        return this.#deleteObject(request)
      case 'stop':
        return this.#stop(request)
    }
  }

  async #serve({ portal, login }: RequestOf<'serve'>): Promise<void> {
    if (this.#target !== undefined && format(this.#target.portal) !== format(portal))
      throw new AppError('busy', `LUNs are being served on ${format(this.#target.portal)}`, {
        object: `portal ${format(portal)}`,
        advice: 'Stop the array first ("gantry array stop"), then use the new portal.',
      })
    const chap = login === undefined ? undefined : { initiator: { name: login.user, secret: login.password } }
    if (this.#target === undefined) this.#target = await this.#listen(portal, chap)
    else if (chap !== undefined && !isDeepStrictEqual(chap, this.#chap)) {
      const inUse = this.#inUse()
      if (Object.keys(inUse).length > 0) throw refuse.otherSecret(format(portal), inUse)
      this.#target.setChap(chap)
    }
    this.#chap = chap ?? this.#chap
    for (const lun of this.#luns)
      if (this.#target.findLun(lun.identity.target) === undefined)
        await this.#offer(lun).catch(() => undefined)
  }

  async #listen(portal: Portal, chap: ChapSettings | undefined): Promise<IscsiTarget> {
    const { startTarget, targetFolder, log } = this.#options
    const onTrouble = ({ target, text }: { target: string; text: string }): void => log(`${target}: ${text}`)
    try {
      return await startTarget({
        portal,
        stateFolder: targetFolder,
        onTrouble,
        ...(chap === undefined ? {} : { chap }),
      })
    } catch (error) {
      const { code } = toAppError(error)
      throw code === 'busy' ? refuse.portalTaken(format(portal), error) : error
    }
  }

  async #create(spec: LunSpec, initiators: readonly string[], limit: number): Promise<void> {
    if (this.#target === undefined) throw refuse.portalClosed()
    const { identity, volumePath, backing } = spec
    const path = join(volumePath, objectPath(backing))
    const file = await statOf(path)
    if (file === undefined) throw refuse.noObject(path)
    const known = this.#find(identity.target)
    if (known !== undefined) {
      requireOurs(known, identity.serial)
      if (known.path !== path) throw refuse.otherBacking(identity, known.path)
      const [initiator] = initiators
      return initiator === undefined ? this.#offer(known) : this.#admit(known, initiator)
    }
    await this.#requireFree(path, file)
    const count = this.#luns.filter((lun) => lun.volumePath === volumePath).length
    if (count >= limit) throw refuse.lunLimit(volumePath, count, limit)
    const mark = await readMark(`${path}${markExtension}`)
    const lun: TableLun = {
      identity,
      volumePath,
      path,
      isReadOnly: backing.kind === 'snapshot',
      sizeBytes: file.size,
      ...(mark === undefined ? {} : { mark }),
      initiators: [...initiators],
    }
    await this.#write([...this.#luns, lun])
    try {
      await this.#offer(lun)
    } catch (error) {
      await this.#write(this.#luns.filter((other) => other !== lun))
      this.#problems.delete(identity.target)
      throw error
    }
    this.#options.log(`made LUN ${identity.name}, ${identity.target}, from ${path}`)
  }

  async #restore({ luns }: RequestOf<'restore-luns'>): Promise<void> {
    const failed: string[] = []
    for (const { spec, initiators } of luns) {
      const isMapped = (this.#find(spec.identity.target)?.initiators.length ?? 0) > 0
      await this.#create(spec, isMapped ? [] : initiators, Number.POSITIVE_INFINITY).catch(
        (error: unknown) => {
          failed.push(`${spec.identity.name} (${toAppError(error).message})`)
        },
      )
    }
    if (failed.length > 0)
      throw new AppError('device-rejected', 'Some LUNs could not be made again', {
        facts: { device: `not restored: ${failed.join(', ')}` },
        effect: 'done',
      })
  }

  async #map({ target, serial, initiator }: RequestOf<'map-lun'>): Promise<void> {
    if (this.#target === undefined) throw refuse.portalClosed()
    const lun = this.#require(target, serial)
    await this.#admit(lun, initiator)
  }

  /** Maps a LUN to one initiator; two must not write to the same container. */
  async #admit(lun: TableLun, initiator: string): Promise<void> {
    const { identity, initiators } = lun
    // a session outlives its map
    const others = [...initiators, ...this.#sessionsOf(identity.target)].filter((name) => name !== initiator)
    if (others.length > 0) throw refuse.mappedElsewhere(identity, [...new Set(others)])
    if (initiators.length === 0) await this.#change(lun, [initiator])
    await this.#offer({ ...lun, initiators: [initiator] })
  }

  async #unmap({ target, serial, initiator }: RequestOf<'unmap-lun'>): Promise<void> {
    const lun = this.#find(target)
    if (lun === undefined) return
    requireOurs(lun, serial)
    const rest = lun.initiators.filter((other) => other !== initiator)
    if (rest.length < lun.initiators.length) await this.#change(lun, rest)
    if (this.#target?.findLun(target) !== undefined)
      await this.#target.setInitiators(target, rest, { keepSessions: true })
  }

  async #delete({ target, serial }: RequestOf<'delete-lun'>): Promise<void> {
    const lun = this.#find(target)
    if (lun === undefined) return
    requireOurs(lun, serial)
    const sessions = this.#sessionsOf(target)
    if (sessions.length > 0) throw refuse.hasSession(lun.identity, sessions)
    const before = this.#luns
    await this.#write(before.filter((other) => other !== lun))
    try {
      await this.#target?.removeLun(target)
    } catch (error) {
      // somebody has logged in just now
      await this.#write(before)
      const late = this.#sessionsOf(target)
      throw late.length > 0 ? refuse.hasSession(lun.identity, late) : error
    }
    this.#locks.get(target)?.release()
    this.#locks.delete(target)
    this.#problems.delete(target)
    this.#options.log(`removed LUN ${lun.identity.name}, ${target}`)
  }

  async #deleteObject({ volumePath, ref, mark }: RequestOf<'delete-object'>): Promise<void> {
    const path = join(volumePath, objectPath(ref))
    const holder = await readMark(`${path}${markExtension}`)
    if (holder === mark) {
      const file = await statOf(path)
      await this.#requireFree(path, file)
      if (file !== undefined) requireUnlocked(path)
    }
    await withdraw(volumePath, ref, mark)
  }

  #stop({ force }: RequestOf<'stop'>): void {
    const inUse = this.#inUse()
    const count = Object.keys(inUse).length
    if (count === 0 || force) return
    throw new AppError('busy', `Initiators are logged in to ${count} LUN(s)`, {
      facts: inUse,
      advice: 'Log the hosts out first. --force takes the disks away from them while they use them.',
    })
  }

  /** By LUN name: who is logged in. */
  #inUse(): Record<string, string> {
    const luns = this.#luns.map(({ identity }) => [
      identity.name,
      this.#sessionsOf(identity.target).join(', '),
    ])
    return Object.fromEntries(luns.filter(([, sessions]) => sessions !== '')) as Record<string, string>
  }

  /** Puts a LUN of the table before its initiators, if its own object is there. */
  async #offer(lun: TableLun): Promise<void> {
    const { identity, path, sizeBytes, isReadOnly, initiators } = lun
    if (this.#target === undefined) throw refuse.portalClosed()
    try {
      if (this.#target.findLun(identity.target) !== undefined) {
        await this.#target.setInitiators(identity.target, initiators, { keepSessions: true })
        return
      }
      await requireSameObject(lun)
      this.#lock(identity.target, path)
      await this.#target.addLun({
        identity,
        path,
        sizeBytes,
        readOnly: isReadOnly,
        vendor: 'GANTRY',
        product: 'CONTAINER',
        initiators,
      })
      this.#problems.delete(identity.target)
    } catch (error) {
      const { message } = toAppError(error)
      this.#problems.set(identity.target, message)
      this.#options.log(`LUN ${identity.name} is not served: ${message} (${path})`)
      throw error
    }
  }

  /** Against another console that has the same folder as a volume of its own. */
  #lock(target: string, path: string): void {
    if (this.#locks.has(target)) return
    const lock = lockFile(path)
    if (lock === 'held') throw refuse.servedElsewhere(path)
    this.#locks.set(target, lock)
  }

  /** No LUN under two identities: neither by its path nor by another name of the same file. */
  async #requireFree(path: string, file: Stats | undefined): Promise<void> {
    for (const lun of this.#luns) {
      const other = await stat(lun.path).catch(() => undefined)
      const isSame =
        other !== undefined && file !== undefined && other.dev === file.dev && other.ino === file.ino
      if (lun.path === path || isSame) throw refuse.backsLun(path, lun.identity)
    }
  }

  #find(target: string): TableLun | undefined {
    return this.#luns.find(({ identity }) => identity.target === target)
  }

  #require(target: string, serial: string): TableLun {
    const lun = this.#find(target)
    if (lun === undefined) throw refuse.noSuchLun(target)
    requireOurs(lun, serial)
    return lun
  }

  async #change(lun: TableLun, initiators: readonly string[]): Promise<void> {
    await this.#write(
      this.#luns.map((other) => (other === lun ? { ...lun, initiators: [...initiators] } : other)),
    )
  }

  async #write(luns: readonly TableLun[]): Promise<void> {
    await writeTable(this.#options.tablePath, luns)
    this.#luns = luns
  }

  #sessionsOf(target: string): string[] {
    const sessions = this.#target?.findLun(target)?.sessions ?? []
    return [...new Set(sessions.map(({ initiator }) => initiator))]
  }

  #describe({ identity, path, sizeBytes, initiators }: TableLun): ServedLun {
    const problem = this.#problems.get(identity.target)
    return {
      identity,
      path,
      sizeBytes,
      initiators: [...initiators],
      sessions: this.#sessionsOf(identity.target),
      ...(problem === undefined ? {} : { problem }),
    }
  }
}

function requireOurs({ identity }: { identity: LunIdentity }, serial: string): void {
  if (identity.serial !== serial) throw refuse.foreignLun(identity, identity.serial)
}

/** What lies at the path is what the LUN was made from, and not a file of another disk that is mounted there now. */
async function requireSameObject({ identity, path, sizeBytes, mark }: TableLun): Promise<void> {
  const file = await statOf(path).catch((error: unknown) => {
    throw translateError(error, path)
  })
  if (file === undefined) throw refuse.noObject(path)
  const found = await readMark(`${path}${markExtension}`)
  if (found !== mark) throw refuse.anotherObject(identity, path, `made by job ${found ?? 'of nobody'}`)
  if (file.size !== sizeBytes) throw refuse.anotherObject(identity, path, `${file.size} bytes`)
}

const format = ({ host, port }: Portal): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

function requireUnlocked(path: string): void {
  const lock = lockFile(path)
  if (lock === 'held') throw refuse.servedElsewhere(path)
  lock.release()
}
