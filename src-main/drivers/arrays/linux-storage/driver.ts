import { AppError } from '#shared/errors/app-error.ts'
import { lunIdentitySchema } from '#shared/domain/storage.ts'
import type { LinuxStorageConfig, LunFacts, ObjectRef } from '#shared/domain/storage.ts'
import { MiB } from '#shared/units/bytes.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import type { RunOptions, RunResult, Shell } from '#main/transports/shell/shell.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import type { Action } from '../../action.ts'
import type { ArrayDriver, CreateLun } from '../contract.ts'
import { checkIdentity, checkInitiator, checkMark, checkRef } from '../check-input.ts'
import { isOurs, nameOfTarget, newIdentity } from '../identity.ts'
import { describeObject, objectPath, refOfPath, volumePath } from '../layout.ts'
import { createStorageClient } from './client.ts'
import { refusalCodes, throwRefusal, translateError } from './errors.ts'
import { parseObjectBytes } from './parse-object-bytes.ts'
import { parseObjects } from './parse-objects.ts'
import { parseProbe } from './parse-probe.ts'
import { parseVolumes } from './parse-volumes.ts'
import type { LunRequest, TargetLun } from './target-server.ts'
import { createTgtTarget } from './tgt-target.ts'

/** Copies that share blocks, and hashes: as long as they last. */
const longMs = 24 * 3_600_000
const lunsPerRestoreScript = 64

/**
 * An array of a Linux server: files on a file system that shares blocks, served as LUNs by tgtd. The scripts are in
 * client.ts (objects) and tgt-target.ts (LUNs); here is what they mean.
 */
export function createLinuxStorageArray(config: LinuxStorageConfig, shell: Shell): ArrayDriver {
  const targets = createTgtTarget(config.settings.tgtControlPort)
  const client = createStorageClient(config, targets)
  const array = `array ${config.name}`

  async function run(script: ShellScript, object: string, options: RunOptions): Promise<RunResult> {
    try {
      const result = await shell.run(script, { ...options, expectExit: [0, ...refusalCodes] })
      throwRefusal(result, object)
      return result
    } catch (error) {
      throw translateError(error, object)
    }
  }

  function action<T>(
    scripts: readonly ShellScript[],
    object: string,
    options: Omit<RunOptions, 'signal'>,
    answer: (text: string) => T,
  ): Action<T> {
    return {
      commands: scripts,
      async run({ signal }) {
        let text = ''
        for (const script of scripts) text = stdoutText(await run(script, object, { ...options, signal }))
        return answer(text)
      },
    }
  }
  const effect = (
    scripts: readonly ShellScript[],
    object: string,
    options: Omit<RunOptions, 'signal'> = {},
  ): Action => action(scripts, object, options, () => undefined)

  const copyObject = (spec: { from: ObjectRef; to: ObjectRef; mark: string }): Action => {
    if (spec.from.volume !== spec.to.volume)
      throw new AppError('bad-request', 'A copy that shares blocks stays on the volume of its original', {
        object: describeObject(config, spec.to),
      })
    checkRef(spec.from)
    return effect(
      [client.copyObject(spec.from, checkRef(spec.to), checkMark(spec.mark))],
      describeObject(config, spec.to),
      { timeoutMs: longMs },
    )
  }

  const requestOf = (spec: CreateLun): LunRequest => {
    const volume = volumePath(config, spec.backing.volume)
    return {
      identity: checkIdentity(spec),
      objectPath: `${volume}/${objectPath(checkRef(spec.backing))}`,
      volumePath: volume,
      readOnly: spec.backing.kind === 'snapshot',
    }
  }

  const factsOf = (lun: TargetLun): LunFacts => {
    const backing = refOfPath(config, lun.backingPath)
    return {
      array: config.name,
      name: nameOfTarget(lun.target, lun.serial, lun.lun),
      target: lun.target,
      lun: lun.lun,
      serial: lun.serial,
      naa: lun.naa,
      ...(backing === undefined ? {} : { backing }),
      backingPath: lun.backingPath,
      sizeBytes: lun.sizeBytes,
      mappedTo: [...lun.mappedTo],
      sessions: [...lun.sessions],
      ours: isOurs(lun.target, lun.serial, lun.naa),
    }
  }

  return {
    config,
    alignmentBytes: MiB,

    async probe(signal) {
      return parseProbe(config, stdoutText(await run(client.probe(), array, { signal })))
    },

    async listVolumes(signal) {
      const text = stdoutText(await run(client.listVolumes(), array, { signal }))
      const learntAt = new Date().toISOString()
      return parseVolumes(text).map((volume) => ({
        ...volume,
        array: config.name,
        path: volumePath(config, volume.name),
        lunLimit: config.settings.lunLimitPerVolume,
        learntAt,
        learntHow: `${array}: listVolumes`,
      }))
    },

    async listObjects(volume, signal) {
      const result = await run(client.listObjects(volume), `volume ${config.name}:${volume}`, { signal })
      return parseObjects(volume, stdoutText(result))
    },

    async findObject(ref, signal) {
      const result = await run(client.findObject(checkRef(ref)), describeObject(config, ref), { signal })
      return parseObjects(ref.volume, stdoutText(result))[0]
    },

    createObject(spec) {
      if (!Number.isSafeInteger(spec.sizeBytes) || spec.sizeBytes <= 0 || spec.sizeBytes % MiB !== 0)
        throw new AppError('bad-request', `${spec.sizeBytes} bytes is no multiple of ${MiB}`, {
          object: describeObject(config, spec),
        })
      const script = client.createObject(checkRef(spec), spec.sizeBytes, checkMark(spec.mark))
      return effect([script], describeObject(config, spec))
    },

    deleteObject: (ref, mark) =>
      effect([client.deleteObject(checkRef(ref), checkMark(mark))], describeObject(config, ref)),

    async readObject(ref, ranges, signal) {
      const script = client.readObject(checkRef(ref), ranges)
      const wanted = ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
      const options = { signal, maxOutputBytes: wanted + 100 }
      const { stdout } = await run(script, describeObject(config, ref), options)
      return parseObjectBytes(stdout, ranges, describeObject(config, ref))
    },

    hashObject: (ref) =>
      action(
        [client.hashObject(checkRef(ref))],
        describeObject(config, ref),
        { timeoutMs: longMs, tethered: true },
        (text) => readHash(text, describeObject(config, ref)),
      ),

    snapshotObject: copyObject,
    cloneObject: copyObject,

    async listLuns(signal) {
      const luns = targets.parseLuns(stdoutText(await run(targets.showLuns(), array, { signal })))
      // A target without a LUN is none yet.
      return luns.filter(({ backingPath }) => backingPath !== '').map(factsOf)
    },

    async findLun(identity, signal) {
      const { name, target, lun, serial, naa } = checkIdentity(identity)
      const result = await run(targets.showLuns(target), `LUN ${name}`, { signal })
      const found = targets.parseLuns(stdoutText(result)).find((shown) => shown.lun === lun)
      if (found === undefined) return undefined
      if (found.serial !== serial && !found.halfMade)
        throw new AppError('busy', 'A LUN of this target name is there that Gantry did not make', {
          object: `LUN ${name} of ${config.name}`,
          facts: { target, serial: found.serial },
        })
      const facts = { ...factsOf(found), name, serial, naa, ours: true }
      return found.halfMade ? { ...facts, sizeBytes: 0 } : facts
    },

    createLun: (spec, initiator) =>
      effect(
        [
          targets.createLun(
            requestOf(spec),
            config.settings.lunLimitPerVolume,
            initiator === undefined ? undefined : checkInitiator(initiator),
          ),
        ],
        `LUN ${spec.name} from ${describeObject(config, spec.backing)}`,
      ),

    mapLun: (identity, initiator) =>
      effect(
        [targets.mapLun(checkIdentity(identity), checkInitiator(initiator))],
        `LUN ${identity.name} of ${config.name}`,
      ),

    unmapLun: (identity, initiator) =>
      effect(
        [targets.unmapLun(checkIdentity(identity), checkInitiator(initiator))],
        `LUN ${identity.name} of ${config.name}`,
      ),

    deleteLun: (identity) =>
      effect([targets.deleteLun(checkIdentity(identity))], `LUN ${identity.name} of ${config.name}`),

    restoreLuns(luns) {
      const requests = luns.map(({ lun, initiators }) => ({
        request: requestOf(lun),
        initiators: initiators.map(checkInitiator),
      }))
      const scripts: ShellScript[] = []
      for (let at = 0; at < requests.length; at += lunsPerRestoreScript)
        scripts.push(targets.restoreLuns(requests.slice(at, at + lunsPerRestoreScript)))
      return effect(scripts, `LUNs of ${config.name}`)
    },

    addressOf: (identity, portal = config.settings.portal) => ({
      ...lunIdentitySchema.parse(identity),
      portal,
    }),
    newIdentity: (lunName) => newIdentity(config.settings.iqnPrefix, lunName),
  }
}

function readHash(text: string, object: string): string {
  const hash = /^[0-9a-f]{64}(?= )/.exec(text)?.[0]
  if (hash === undefined)
    throw new AppError('device-rejected', 'The array answered with something that is no SHA-256', {
      object,
      facts: { answer: text.slice(0, 200) },
    })
  return hash
}
