import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JobKind, Observation, Step } from '#main/jobs/step.ts'
import { AppError } from '#shared/errors/app-error.ts'

/**
 * A complete device: a directory in which a job makes files. Each bears the job's id as its content. Making one has a
 * middle ("name.part") in which it can break, and from which it
 * can only be undone. Files are made in order and refuse to be made without those before
 * them, or unmade under those after them, as LUNs and mounts do.
 */
export type DevicePlan = {
  dir: string
  files: string[]
  /** Also open a door before the files and close it after them: an effect that the job itself takes away. */
  door?: boolean | undefined
  /** This file does not need the one before it, and is made at the same time. */
  beside?: string | undefined
}

export interface DeviceCall {
  readonly operation: 'apply' | 'observe' | 'undo'
  readonly stepId: string
  readonly moment: 'before' | 'middle' | 'after'
  readonly signal: AbortSignal
  report(bytes: number, totalBytes: number): void
}

/** What a test makes happen inside calls: throw, wait, look. */
export type Meddle = (call: DeviceCall) => void | Promise<void>

const partSuffix = '.part'

export function deviceKind(
  name: string,
  afterRestart: 'resume' | 'undo',
  meddle: Meddle = () => undefined,
): JobKind<DevicePlan> {
  return {
    name,
    afterRestart,
    onFailure: 'undo',
    title: (plan) => `Make ${plan.files.join(', ')}`,
    resources: (plan) => plan.files.map((file) => `file/${plan.dir}/${file}`),
    steps(plan) {
      const files = plan.files.map((_, index) => makeFile(plan, index, meddle))
      if (plan.door !== true) return files
      const door = { dir: plan.dir, files: ['door'] }
      return [{ ...makeFile(door, 0, meddle), settledBy: 'close' }, ...files, closeDoor(plan.dir, meddle)]
    },
  }
}

/** Names and contents of everything on the device. */
export function readDevice(dir: string): Record<string, string> {
  mkdirSync(dir, { recursive: true })
  const names = readdirSync(dir).toSorted()
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(dir, name), 'utf8')]))
}

function makeFile(plan: DevicePlan, index: number, meddle: Meddle): Step {
  const name = plan.files[index] ?? ''
  const bears = (path: string, mark: string): boolean =>
    existsSync(path) && readFileSync(path, 'utf8') === mark
  const whole = join(plan.dir, name)
  const part = whole + partSuffix
  const call = (operation: DeviceCall['operation'], moment: DeviceCall['moment'], context: StepContextLike) =>
    meddle({
      operation,
      stepId: name,
      moment,
      signal: context.signal,
      report: (bytes, totalBytes) => context.report({ bytes, totalBytes }),
    })
  return {
    ...describe(name, `make ${name}`),
    undoCommands: [`unmake ${name}`],
    ...(name === plan.beside ? { besidePrevious: true as const } : {}),
    async apply(context) {
      await call('apply', 'before', context)
      for (const earlier of plan.files.slice(0, name === plan.beside ? index - 1 : index))
        if (!bears(join(plan.dir, earlier), context.jobId))
          throw new AppError('bug', `${earlier} is not there`)
      if (existsSync(part)) throw new AppError('device-rejected', `${name} is half made`)
      if (!bears(whole, context.jobId)) {
        if (existsSync(whole)) throw new AppError('busy', `${name} is taken`, { object: name })
        writeFileSync(part, context.jobId)
        await call('apply', 'middle', context)
        renameSync(part, whole)
      }
      await call('apply', 'after', context)
      return { path: whole }
    },
    async observe(context): Promise<Observation> {
      await call('observe', 'before', context)
      if (bears(part, context.jobId)) return 'partial'
      return bears(whole, context.jobId) ? 'present' : 'absent'
    },
    async undo(context) {
      await call('undo', 'before', context)
      for (const later of plan.files.slice(index + 1))
        if (bears(join(plan.dir, later), context.jobId)) throw new AppError('busy', `${later} is still there`)
      for (const path of [part, whole]) {
        if (bears(path, context.jobId)) rmSync(path)
        await call('undo', path === part ? 'middle' : 'after', context)
      }
    },
  }
}

function closeDoor(dir: string, meddle: Meddle): Step {
  const door = join(dir, 'door')
  return {
    ...describe('close', 'close the door'),
    async apply(context) {
      const { jobId, signal } = context
      await meddle({ operation: 'apply', stepId: 'close', moment: 'before', signal, report: () => undefined })
      if (JSON.stringify(context.resultOf('door')) !== JSON.stringify({ path: door }))
        throw new Error('no result')
      if (existsSync(door) && readFileSync(door, 'utf8') === jobId) rmSync(door)
    },
    observe: () => Promise.resolve(existsSync(door) ? 'absent' : 'present'),
  }
}

type StepContextLike = Pick<Parameters<Step['apply']>[0], 'signal' | 'report'>

function describe(id: string, title: string) {
  return { id, title, target: 'device', commands: [title], undoCommands: [] as string[], weight: 1 }
}
