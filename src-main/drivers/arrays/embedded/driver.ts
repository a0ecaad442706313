import { hostname } from 'node:os'
import { lunIdentitySchema } from '#shared/domain/storage.ts'
import type { EmbeddedConfig, LunFacts, LunIdentity, ObjectRef } from '#shared/domain/storage.ts'
import { AppError, toAppError } from '#shared/errors/app-error.ts'
import { MiB } from '#shared/units/bytes.ts'
import type { Action, RunContext } from '../../action.ts'
import type { ChapSecrets } from '../../chap-secrets.ts'
import { checkIdentity, checkInitiator, checkMark, checkRef } from '../check-input.ts'
import type { ArrayDriver, CopyObject, CreateLun } from '../contract.ts'
import { isOurs, newIdentity } from '../identity.ts'
import { describeObject, objectPath, refOfPath, volumePath } from '../layout.ts'
import { createDaemonClient } from './daemon-client.ts'
import type { DaemonAnswer } from './daemon-client.ts'
import { daemonPlaces } from './daemon/places.ts'
import type { LunSpec, Request, ServedLun } from './daemon/protocol.ts'
import { backsLun } from './daemon/refusals.ts'
import { createObjectFiles, requireFolder } from './objects.ts'
import { ownPortal } from './portal.ts'
import { checkServing, checkVolumes } from './probe.ts'
import { translateError } from './errors.ts'
import { canShareBlocks, measureVolume } from './volumes.ts'

export interface EmbeddedSurroundings {
  /** A folder of this array's own, below the console's data folder. */
  readonly folder: string
  readonly productVersion: string
  readonly secrets: ChapSecrets
}

/**
 * This computer as an array: objects are files (objects.ts), LUNs are served by a process of its own (daemon/), which
 * goes on when the console ends and keeps the table of LUNs.
 */
export function createEmbeddedArray(config: EmbeddedConfig, surroundings: EmbeddedSurroundings): ArrayDriver {
  const { settings } = config
  const array = `array ${config.name}`
  const objects = createObjectFiles(config)
  const daemon = createDaemonClient(surroundings.folder, surroundings.productVersion, array)
  const sharing = new Map<string, Promise<boolean>>()

  /** What is asked about LUNs brings them back after the process has died. */
  async function show(signal: AbortSignal): Promise<DaemonAnswer> {
    try {
      return await serve(signal)
    } catch (error) {
      // what keeps the portal closed is told by the probe, and by what needs it
      const known = await daemon.askIfRunning({ do: 'show' }, signal)
      if (known === undefined) throw error
      return known
    }
  }

  /**
   * Opens the portal where it is closed: after a start of the process it begins without one. A secret that may have
   * changed is handed on also while the portal is open; nobody is asked a question for that alone, but by a probe. The
   * process refuses it (auth-failed) while initiators are logged in with another one.
   */
  async function serve(signal: AbortSignal, asks = false): Promise<DaemonAnswer> {
    const { login } = settings
    const known = await daemon.ask({ do: 'show' }, signal)
    const isServing =
      known.state.portal !== undefined && known.state.luns.every(({ problem }) => problem === undefined)
    const portal = ownPortal(settings.portal)
    if (login === undefined) return isServing ? known : daemon.ask({ do: 'serve', portal }, signal)
    if (isServing && login.password.from === 'prompt' && !asks) return known
    let hasSecret = false
    try {
      return await surroundings.secrets.use(login, settings.portal, signal, (password) => {
        hasSecret = true
        return daemon.ask({ do: 'serve', portal, login: { user: login.user, password } }, signal)
      })
    } catch (error) {
      if (isServing && !hasSecret && toAppError(error).code === 'auth-failed') return known
      throw error
    }
  }
  const request = async (what: Request, { signal }: RunContext): Promise<void> => {
    await serve(signal)
    await daemon.ask(what, signal)
  }

  const describe = (ref: ObjectRef): string => `${ref.volume}/${objectPath(ref)}`
  const canShare = (volume: string): Promise<boolean> => {
    const known = sharing.get(volume) ?? canShareBlocks(volumePath(config, volume)).catch(() => false)
    sharing.set(volume, known)
    return known
  }
  const action = <T>(command: string, run: (context: RunContext) => Promise<T>): Action<T> => ({
    commands: [command],
    run,
  })

  const checkCopy = (spec: CopyObject): void => {
    if (spec.from.volume !== spec.to.volume)
      throw new AppError('bad-request', 'A copy stays on the volume of its original', {
        object: describeObject(config, spec.to),
      })
    checkRef(spec.from)
    checkRef(spec.to)
    checkMark(spec.mark)
  }
  const cloneObject = (spec: CopyObject): Action => {
    checkCopy(spec)
    const readOnly = spec.to.kind === 'snapshot' ? ', read-only' : ''
    return action(
      `clone ${describe(spec.from)} -> ${describe(spec.to)} (shares blocks${readOnly})`,
      ({ signal }) => objects.clone(spec, signal),
    )
  }

  const specOf = ({ backing, osType: _osType, ...identity }: CreateLun): LunSpec => ({
    identity: checkIdentity(lunIdentitySchema.parse(identity)),
    volumePath: volumePath(config, checkRef(backing).volume),
    backing: { volume: backing.volume, kind: backing.kind, name: backing.name },
  })
  const factsOf = (lun: ServedLun): LunFacts => {
    const { identity, path, problem } = lun
    const backing = refOfPath(config, path)
    return {
      ...identity,
      array: config.name,
      ...(backing === undefined ? {} : { backing }),
      backingPath: path,
      sizeBytes: problem === undefined ? lun.sizeBytes : 0,
      mappedTo: lun.initiators,
      sessions: lun.sessions,
      ours: isOurs(identity.target, identity.serial, identity.naa),
    }
  }

  return {
    config,
    alignmentBytes: MiB,

    async probe(signal) {
      const serving = await checkServing(() => serve(signal, true), daemonPlaces(surroundings.folder).log)
      return {
        identity: {
          vendor: 'Gantry',
          product: 'embedded array',
          version: surroundings.productVersion,
          serial: `${hostname()}/${config.name}`,
        },
        checks: [...serving, ...(await checkVolumes(config))],
      }
    },

    async listVolumes(signal) {
      const { state } = await show(signal)
      const learntAt = new Date().toISOString()
      return Promise.all(
        Object.keys(settings.volumes).map(async (name) => {
          const path = volumePath(config, name)
          const object = `volume ${config.name}:${name}`
          await requireFolder(path, object)
          const space = await measureVolume(path).catch((error: unknown) => {
            throw translateError(error, object)
          })
          return {
            array: config.name,
            name,
            path,
            ...space,
            canReflink: await canShare(name),
            lunCount: state.luns.filter((lun) => lun.path.startsWith(`${path}/`)).length,
            lunLimit: settings.lunLimitPerVolume,
            learntAt,
            learntHow: `array ${config.name}: listVolumes`,
          }
        }),
      )
    },

    listObjects: (volume, signal) => objects.list(volume, signal),
    findObject: (ref, signal) => objects.find(checkRef(ref), signal),

    createObject(spec) {
      if (!Number.isSafeInteger(spec.sizeBytes) || spec.sizeBytes <= 0 || spec.sizeBytes % MiB !== 0)
        throw new AppError('bad-request', `${spec.sizeBytes} bytes is no multiple of ${MiB}`, {
          object: describeObject(config, spec),
        })
      checkMark(spec.mark)
      return action(
        `create ${describe(checkRef(spec))} (${spec.sizeBytes} bytes, sparse), job ${spec.mark}`,
        ({ signal }) => objects.create(spec, signal),
      )
    },

    deleteObject: (ref, mark) =>
      action(
        `delete ${describe(checkRef(ref))}, if job ${checkMark(mark)} has made it`,
        async ({ signal }) => {
          const object = describeObject(config, ref)
          const path = volumePath(config, ref.volume)
          await requireFolder(path, object)
          await daemon.ask({ do: 'delete-object', volumePath: path, ref: plainRef(ref), mark }, signal)
        },
      ),

    readObject: (ref, ranges, signal) => objects.read(checkRef(ref), ranges, signal),

    hashObject: (ref) => action(`sha256 ${describe(checkRef(ref))}`, (context) => objects.hash(ref, context)),

    snapshotObject: cloneObject,
    cloneObject,

    copyObject(spec) {
      checkCopy(spec)
      return action(
        `copy ${describe(spec.from)} -> ${describe(spec.to)} (everything that is written; holes stay holes)`,
        async (context) => {
          const { state } = await show(context.signal)
          const under = state.luns.find(({ path }) => sameRef(refOfPath(config, path), spec.from))
          if (under !== undefined) throw backsLun(describeObject(config, spec.from), under.identity)
          await objects.copy(spec, context)
        },
      )
    },

    async listLuns(signal) {
      return (await show(signal)).state.luns.map(factsOf)
    },

    async findLun(identity, signal) {
      const { target, serial, name } = checkIdentity(identity)
      const found = (await show(signal)).state.luns.find((lun) => lun.identity.target === target)
      if (found === undefined) return undefined
      if (found.identity.serial !== serial)
        throw new AppError('busy', 'A LUN of this target name is there that Gantry did not make', {
          object: `LUN ${name} of ${config.name}`,
          facts: { target, serial: found.identity.serial },
        })
      return factsOf(found)
    },

    createLun(spec, initiator) {
      const lun = specOf(spec)
      const { target, serial, naa } = lun.identity
      const admitted = initiator === undefined ? 'nobody' : `${checkInitiator(initiator)} alone`
      return action(
        `serve ${describe(spec.backing)} on ${settings.portal} as LUN 1 of ${target} (serial ${serial}, NAA ${naa}), for ${admitted}`,
        (context) =>
          request(
            {
              do: 'create-lun',
              spec: lun,
              lunLimit: settings.lunLimitPerVolume,
              ...(initiator === undefined ? {} : { initiator }),
            },
            context,
          ),
      )
    },

    mapLun: (identity, initiator) =>
      action(`admit ${checkInitiator(initiator)} alone to ${checkIdentity(identity).target}`, (context) =>
        request({ do: 'map-lun', ...claimOf(identity), initiator }, context),
      ),

    unmapLun: (identity, initiator) =>
      action(
        `shut ${checkInitiator(initiator)} out of ${checkIdentity(identity).target}`,
        async ({ signal }) => {
          await daemon.ask({ do: 'unmap-lun', ...claimOf(identity), initiator }, signal)
        },
      ),

    deleteLun: (identity) =>
      action(
        `end serving ${checkIdentity(identity).target}, unless an initiator is logged in`,
        async ({ signal }) => {
          await daemon.ask({ do: 'delete-lun', ...claimOf(identity) }, signal)
        },
      ),

    restoreLuns(luns) {
      const wanted = luns.map(({ lun, initiators }) => ({
        spec: specOf(lun),
        initiators: initiators.map(checkInitiator),
      }))
      return {
        commands: luns.map(({ lun, initiators }) => {
          const admitted = initiators.length === 0 ? 'nobody' : initiators.join(', ')
          return `serve ${describe(lun.backing)} as LUN 1 of ${lun.target} again, for ${admitted}`
        }),
        run: (context) => request({ do: 'restore-luns', luns: wanted }, context),
      }
    },

    stop: ({ force }) =>
      action(
        `end the process that serves the array${force ? ', also while initiators are logged in' : ', unless an initiator is logged in'}`,
        async ({ signal }) => {
          await daemon.askIfRunning({ do: 'stop', force }, signal)
        },
      ),

    addressOf: (identity, portal = settings.portal) => ({ ...lunIdentitySchema.parse(identity), portal }),
    newIdentity: (lunName) => newIdentity(settings.iqnPrefix, lunName),
  }
}

const claimOf = ({ target, serial }: LunIdentity): { target: string; serial: string } => ({ target, serial })

const plainRef = ({ volume, kind, name }: ObjectRef): ObjectRef => ({ volume, kind, name })

const sameRef = (a: ObjectRef | undefined, b: ObjectRef): boolean =>
  a !== undefined && a.volume === b.volume && a.kind === b.kind && a.name === b.name
