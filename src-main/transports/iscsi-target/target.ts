import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { AppError } from '#shared/errors/app-error.ts'
import { fileError } from '../local/file-errors.ts'
import { loginStatus } from '#main/protocols/iscsi/opcodes.ts'
import type { Admission, LoginClaim } from '#main/protocols/iscsi/target-login.ts'
import { Connection } from './connection.ts'
import type { ConnectionHost, Establishment } from './connection.ts'
import type {
  ChapSettings,
  IscsiTarget,
  IscsiTargetOptions,
  StartIscsiTarget,
  TargetLun,
  TargetLunRequest,
} from './contract.ts'
import type { Portal } from '../iscsi/portal.ts'
import { requireChap, requireLun, requireSize } from './check-request.ts'
import { limits } from './limits.ts'
import { LogicalUnit } from './logical-unit.ts'
import { LunFile } from './lun-file.ts'
import { LunState } from './lun-state.ts'
import type { Session } from './session.ts'
import { WriteRoom } from './write-room.ts'

const portalGroupTag = 1
const defaultPortal: Portal = { host: '127.0.0.1', port: 3260 }

interface Served {
  request: TargetLunRequest
  readonly unit: LogicalUnit
  readonly state: LunState
  readonly connections: Set<Connection>
  /** Kinds of trouble that were told. */
  readonly troubles: Set<string>
}

export const startIscsiTarget: StartIscsiTarget = async (options) => {
  const target = new Target(options)
  await target.listen()
  return target
}

class Target implements IscsiTarget, ConnectionHost {
  readonly room = new WriteRoom()
  portal: Portal
  #chap: ChapSettings | undefined
  readonly #options: IscsiTargetOptions
  readonly #server: Server
  readonly #luns = new Map<string, Served>()
  readonly #connections = new Set<Connection>()
  /** Those that are not logged in to a target, the oldest first. */
  readonly #logins = new Set<Connection>()
  #lastTsih = 0

  constructor(options: IscsiTargetOptions) {
    this.#options = options
    this.portal = options.portal ?? defaultPortal
    this.setChap(options.chap)
    this.#server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.#accept(socket))
  }

  async listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const { host, port } = this.portal
    this.#server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, this.portal)))
    this.#server.listen(port, host, resolve)
    await promise
    this.portal = { host, port: (this.#server.address() as AddressInfo).port }
  }

  async addLun(request: TargetLunRequest): Promise<void> {
    const { identity, path, readOnly } = request
    requireLun(request)
    if (this.#luns.has(identity.target))
      throw new AppError('busy', `The target name "${identity.target}" is in use`, { object: identity.name })
    const file = openFile(path, readOnly)
    try {
      if (!file.isRegular)
        throw new AppError('bad-request', `"${path}" is not a regular file`, { object: identity.name })
      requireSize(request, file.sizeBytes)
      const isThin = await file.canPunch()
      // Only now, that nothing else can come between.
      for (const other of this.#luns.values())
        if (other.unit.file.fileId === file.fileId || other.request.identity.target === identity.target)
          throw new AppError('busy', `"${path}" is served as ${other.request.identity.target} already`, {
            object: identity.name,
          })
      const state = new LunState(this.#options.stateFolder, identity.serial)
      const unit = new LogicalUnit(request, file, isThin, state)
      this.#luns.set(identity.target, {
        request,
        unit,
        state,
        connections: new Set(),
        troubles: new Set(),
      })
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async removeLun(
    target: string,
    { force = false, keepState = false }: { readonly force?: boolean; readonly keepState?: boolean } = {},
  ): Promise<boolean> {
    const served = this.#luns.get(target)
    if (served === undefined) return false
    if (!force && served.connections.size > 0)
      throw new AppError('busy', `Initiators are logged in: ${namesOf(served).join(', ')}`, {
        object: served.request.identity.name,
        facts: { initiators: namesOf(served).join(', ') },
      })
    this.#luns.delete(target)
    await endServing(served)
    if (!keepState) served.state.save(undefined)
    return true
  }

  async setInitiators(
    target: string,
    initiators: readonly string[],
    { keepSessions = false }: { readonly keepSessions?: boolean } = {},
  ): Promise<void> {
    const served = this.#get(target)
    const request = { ...served.request, initiators }
    requireLun(request)
    served.request = request
    if (keepSessions) return
    const dropped = [...served.connections].filter(
      ({ claim }) => claim !== undefined && !initiators.includes(claim.initiatorName),
    )
    await Promise.all(dropped.map((connection) => connection.drop()))
  }

  setChap(chap: ChapSettings | undefined): void {
    requireChap(chap, this.portal.host)
    this.#chap = chap
  }

  async growLun(target: string, sizeBytes: number): Promise<void> {
    const served = this.#get(target)
    if (sizeBytes < served.unit.sizeBytes)
      throw new AppError('bad-request', 'A LUN does not become smaller', {
        object: served.request.identity.name,
      })
    const request = { ...served.request, sizeBytes }
    requireLun(request)
    served.request = request
    served.unit.grow(sizeBytes)
  }

  findLun(target: string): TargetLun | undefined {
    const served = this.#luns.get(target)
    return served === undefined ? undefined : describe(served)
  }

  listLuns(): TargetLun[] {
    return [...this.#luns.values()].map(describe)
  }

  async close(): Promise<void> {
    // its callback would wait for ever: the server does not see the end of sockets that others read
    this.#server.close()
    await Promise.all([...this.#connections].map((connection) => connection.drop()))
    const ended = await Promise.allSettled([...this.#luns.values()].map(endServing))
    this.#luns.clear()
    for (const end of ended) if (end.status === 'rejected') throw end.reason
  }

  admit(claim: LoginClaim): Admission {
    const chap = this.#chap
    const admission = {
      portalGroupTag,
      ...(chap === undefined ? {} : { initiatorCredentials: chap.initiator }),
      ...(chap?.target === undefined ? {} : { targetCredentials: chap.target }),
    }
    if (claim.targetName === undefined) return admission
    const served = this.#luns.get(claim.targetName)
    // Whoever may not see a target is told that there is none.
    if (served === undefined || !served.request.initiators.includes(claim.initiatorName))
      return { refusal: loginStatus.notFound }
    if (claim.tsih !== 0) return { refusal: loginStatus.sessionDoesNotExist }
    if (served.connections.size >= limits.sessionsOfLun && this.#sameSession(served, claim).length === 0)
      return { refusal: loginStatus.outOfResources }
    return admission
  }

  establish(connection: Connection, claim: LoginClaim): Establishment {
    this.#lastTsih = (this.#lastTsih % 0xffff) + 1
    if (claim.targetName === undefined) return { served: undefined, tsih: this.#lastTsih }
    const served = this.#luns.get(claim.targetName)
    // It may have changed since the login began.
    if (served === undefined || !served.request.initiators.includes(claim.initiatorName))
      throw new AppError('not-found', 'The target went away during the login')
    const older = this.#sameSession(served, claim)
    served.connections.add(connection)
    const { target, lun } = served.request.identity
    return {
      served: { unit: served.unit, lun, target },
      tsih: this.#lastTsih,
      ...(older.length === 0 ? {} : { ready: Promise.all(older.map((other) => other.drop())) }),
    }
  }

  loggedIn(connection: Connection): void {
    this.#logins.delete(connection)
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection)
    this.#logins.delete(connection)
    for (const { connections } of this.#luns.values()) connections.delete(connection)
  }

  describeTargets(initiator: string, target: string | undefined): [string, string][] {
    const { host, port } = this.portal
    const address = `${host.includes(':') ? `[${host}]` : host}:${port},${portalGroupTag}`
    return [...this.#luns.values()]
      .filter(
        ({ request }) =>
          request.initiators.includes(initiator) &&
          (target === undefined || request.identity.target === target),
      )
      .flatMap(({ request }): [string, string][] => [
        ['TargetName', request.identity.target],
        ['TargetAddress', address],
      ])
  }

  dropAll(session: Session): void {
    const served = session.served === undefined ? undefined : this.#luns.get(session.served.target)
    const connections = [...(served?.connections ?? [])]
    // Whoever has come in its place begins after the reset, as all do who still log in.
    if (!connections.some((connection) => connection.session === session)) return
    for (const connection of connections)
      if (connection.session === session) connection.hangUp()
      else if (connection.session !== undefined) void connection.drop()
  }

  trouble(session: Session, error: NodeJS.ErrnoException): void {
    const target = session.served?.target
    const served = target === undefined ? undefined : this.#luns.get(target)
    const kind = error.code ?? error.message
    if (target === undefined || served === undefined || served.troubles.has(kind)) return
    served.troubles.add(kind)
    this.#options.onTrouble?.({ target, text: `${served.request.path}: ${error.message}` })
  }

  fault({ claim }: Connection, error: unknown): void {
    const target = claim?.targetName ?? ''
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#options.onTrouble?.({ target, text: `A mistake of this program ended a session: ${text}` })
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= limits.connections) return void socket.destroy()
    if (this.#logins.size >= limits.logins) {
      const [oldest] = this.#logins
      if (oldest !== undefined) this.#logins.delete(oldest)
      void oldest?.drop()
    }
    const connection = new Connection(socket, this)
    this.#connections.add(connection)
    this.#logins.add(connection)
  }

  /** Those that end are among them, as long as they touch the file. */
  #sameSession(served: Served, { initiatorName, isid }: LoginClaim): Connection[] {
    const key = Buffer.from(isid).toString('hex')
    return [...served.connections].filter(
      ({ claim }) =>
        claim?.initiatorName === initiatorName && Buffer.from(claim.isid).toString('hex') === key,
    )
  }

  #get(target: string): Served {
    const served = this.#luns.get(target)
    if (served === undefined) throw new AppError('not-found', `There is no target "${target}"`)
    return served
  }
}

async function endServing({ connections, unit, request }: Served): Promise<void> {
  await Promise.all([...connections].map((connection) => connection.drop()))
  try {
    if (!request.readOnly)
      await new Promise<void>((resolve, reject) => {
        unit.file.flush((error) => (error === undefined ? resolve() : reject(notDurable(request, error))))
      })
  } finally {
    await unit.file.close()
  }
}

const notDurable = ({ identity, path }: TargetLunRequest, cause: Error): AppError =>
  new AppError('device-rejected', `What was written to the LUN is not safe in "${path}"`, {
    object: identity.name,
    advice: 'Look at the disk that it lies on; what the host wrote last may be lost.',
    effect: 'done',
    facts: { device: cause.message },
    cause,
  })

const namesOf = ({ connections }: Served): string[] => [
  ...new Set([...connections].flatMap(({ claim }) => claim?.initiatorName ?? [])),
]

function describe({ request, unit, connections }: Served): TargetLun {
  return {
    ...request,
    sizeBytes: unit.sizeBytes,
    sessions: [...connections].flatMap(({ session, peer }) =>
      session === undefined ? [] : { initiator: session.initiator, peer, startedAt: session.startedAt },
    ),
  }
}

function openFile(path: string, readOnly: boolean): LunFile {
  try {
    return new LunFile(path, readOnly)
  } catch (cause) {
    throw fileError(cause, path)
  }
}

function listenError(error: NodeJS.ErrnoException, { host, port }: Portal): AppError {
  if (error.code === 'EADDRINUSE')
    return new AppError('busy', `Something else listens on ${host}:${port}`, { cause: error })
  return new AppError('bad-request', `Cannot listen on ${host}:${port}: ${error.message}`, { cause: error })
}
