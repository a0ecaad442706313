import { createApi } from '#main/api/api.ts'
import type { Api } from '#main/api/api.ts'
import { createEventHub } from '#main/api/event-hub.ts'
import type { ContractHandlers, InputOf, OutputOf } from '#shared/contract/index.ts'
import type { JobDetails, JobState } from '#shared/domain/job.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import { nameOfSample, sampleLock, sampleScan, sampleUnitReport } from './sample-units.ts'
import { sampleJob, sampleJobs, sampleSteps } from './sample-jobs.ts'
import {
  sampleArrays,
  sampleContainers,
  sampleDeployments,
  sampleHosts,
  sampleLuns,
} from './sample-inventory.ts'

export interface FakeCoreOptions {
  /** Sample inventory and jobs; default true. */
  readonly filled?: boolean
  /** Host keys that devices show, one per inspection; the last one stays. Default: known. */
  readonly hostKeys?: OutputOf<'connections.inspectHostKey'>[]
  /** How started jobs end; `held`: they stay in their first step until they are cancelled. Default done. */
  readonly outcome?: 'done' | 'undone' | 'needs-operator' | 'held'
  /** Jobs of one operation; default 1. */
  readonly jobsPerOperation?: number
}

export interface FakeCore {
  readonly handlers: ContractHandlers
  readonly api: Api
  /** What was called, in order. */
  readonly called: { name: string; input: unknown }[]
  setJob(job: JobDetails): void
}

export const knownKey: OutputOf<'connections.inspectHostKey'> = {
  host: 'array1.lab',
  port: 22,
  type: 'ssh-ed25519',
  fingerprint: 'SHA256:AAAAshownAAAA',
  state: 'known',
  expected: [],
}

const probeChecks = [
  { name: 'tgtadm', ok: true, detail: '1.0.85' },
  { name: 'reflink', ok: false, detail: 'vol2 is ext4', advice: 'Use XFS with reflink=1 for clones.' },
]

/** The whole contract in memory, behind the real api. Jobs run to their end by themselves. */
export function createFakeCore(options: FakeCoreOptions = {}): FakeCore {
  const filled = options.filled ?? true
  const events = createEventHub()
  const jobs = new Map((filled ? sampleJobs : []).map((job) => [job.id, job]))
  const trusted: string[] = []
  const hostKeys = [...(options.hostKeys ?? [knownKey])]
  const called: FakeCore['called'] = []
  const done = (): Promise<Record<string, never>> => Promise.resolve({})

  const getJob = (id: string): JobDetails => {
    const job = jobs.get(id)
    if (job === undefined) throw new AppError('not-found', 'There is no such job', { object: `job ${id}` })
    return job
  }
  const setJob = (job: JobDetails): void => {
    jobs.set(job.id, job)
    events.emit('jobs.jobChanged', job)
  }
  const setState = (id: string, state: JobState, error?: unknown): void =>
    setJob({ ...getJob(id), state, ...(error === undefined ? {} : { error: encodeError(error) }) })

  async function run(id: string): Promise<void> {
    for (const [index, step] of sampleSteps.entries()) {
      events.emit('jobs.stepChanged', { jobId: id, stepId: step.id, state: 'applying' })
      if (options.outcome === 'held') return
      const progress = {
        fraction: (index + 1) / sampleSteps.length,
        stepId: step.id,
        bytes: 512,
        totalBytes: 1024,
      }
      events.emit('jobs.progressChanged', { jobId: id, progress })
      await Promise.resolve()
      events.emit('jobs.stepChanged', { jobId: id, stepId: step.id, state: 'done' })
    }
    const refused = new AppError('device-rejected', 'The host refused', { object: 'host lab-host' })
    const end = options.outcome ?? 'done'
    if (end === 'done') setJob({ ...getJob(id), state: 'done', progress: { fraction: 1 } })
    else setState(id, end as JobState, refused)
  }

  const start = (): OutputOf<'operations.start'> => {
    const jobIds = Array.from(
      { length: options.jobsPerOperation ?? 1 },
      (_, index) => `new-${jobs.size + index}`,
    )
    for (const id of jobIds) {
      setJob(sampleJob(id))
      // held jobs begin when somebody watches them, the others before that: both must be shown rightly
      if (options.outcome === 'held') setImmediate(() => void run(id))
      else queueMicrotask(() => void run(id))
    }
    return { jobIds, warnings: [] }
  }

  const plain: ContractHandlers = {
    'connections.inspectHostKey': () => {
      const key = (hostKeys.length > 1 ? hostKeys.shift() : hostKeys[0]) ?? knownKey
      return Promise.resolve(trusted.includes(key.fingerprint) ? { ...key, state: 'known' } : key)
    },
    'connections.trustHostKey': ({ fingerprint }) => {
      trusted.push(fingerprint)
      return done()
    },
    'inventory.addArray': () => Promise.resolve({ identity: identityOf(sampleArrays), checks: probeChecks }),
    'inventory.removeArray': done,
    'inventory.stopArray': done,
    'inventory.probeArray': () =>
      Promise.resolve({ identity: identityOf(sampleArrays), checks: probeChecks }),
    'inventory.listArrays': () => Promise.resolve(filled ? sampleArrays : []),
    'inventory.addHost': () => Promise.resolve({ ...factsOf(sampleHosts), checks: [] }),
    'inventory.removeHost': done,
    'inventory.probeHost': () => Promise.resolve({ ...factsOf(sampleHosts), checks: [] }),
    'inventory.listHosts': () => Promise.resolve(filled ? sampleHosts : []),
    'inventory.listVolumes': ({ array }) =>
      Promise.resolve(sampleArrays.find((entry) => entry.config.name === array)?.volumes ?? []),
    'inventory.listContainers': () => Promise.resolve(filled ? sampleContainers : []),
    'inventory.showContainer': ({ volume, container }) =>
      Promise.resolve({
        facts: { volume, kind: 'container', name: container, sizeBytes: 4096, allocatedBytes: 4096 },
        state: 'damaged',
        problems: ['the first copy of the header does not verify'],
      }),
    'inventory.listLuns': () => Promise.resolve(filled ? sampleLuns : []),
    'inventory.listVms': ({ host }) =>
      Promise.resolve([
        {
          host,
          uuid: '00000000-0000-4000-8000-000000000001',
          name: 'web-1',
          state: 'running',
          memoryBytes: 1024 ** 3,
          cpus: 2,
          disks: [{ device: 'vda', type: 'file', source: '/mnt/web-1/web.raw', format: 'raw' }],
          learntAt: '2026-11-20T09:30:00.000Z',
        },
      ]),
    'inventory.listDeployments': () => Promise.resolve(filled ? sampleDeployments : []),
    'inventory.readTemplate': ({ source }) => Promise.resolve(templateOf(source)),
    'operations.plan': (operation) =>
      Promise.resolve([
        {
          title: `Plan of ${operation.kind}`,
          steps: sampleSteps,
          warnings: ['The array cannot clone on vol2.'],
          bytesToMove: 4096,
        },
      ]),
    'operations.start': () => Promise.resolve(start()),
    'units.show': ({ device }) => Promise.resolve({ ...sampleUnitReport, device: nameOfSample(device) }),
    'units.scan': () => Promise.resolve(sampleScan),
    'units.lock': () => Promise.resolve({ lock: sampleLock, method: 'read-back' }),
    'units.unlock': () =>
      Promise.resolve({ before: { state: 'held', lock: sampleLock, isGone: false }, method: 'atomic' }),
    'jobs.list': () => Promise.resolve([...jobs.values()]),
    'jobs.get': ({ jobId }) => Promise.resolve(getJob(jobId)),
    'jobs.resume': ({ jobId }) => {
      setState(jobId, 'running')
      queueMicrotask(() => void run(jobId))
      return done()
    },
    'jobs.undo': ({ jobId }) => {
      setState(jobId, 'undoing')
      queueMicrotask(() => setState(jobId, 'undone'))
      return done()
    },
    'jobs.cancel': ({ jobId }) => {
      setState(jobId, 'undoing')
      queueMicrotask(() => setState(jobId, 'undone', new AppError('cancelled', 'The job was cancelled')))
      return done()
    },
    'jobs.close': ({ jobId }) => {
      setState(jobId, 'closed')
      return done()
    },
  }
  const api = createApi({ handlers: plain, events })
  return {
    handlers: plain,
    called,
    setJob,
    api: {
      ...api,
      call(name, input) {
        called.push({ name, input })
        return api.call(name, input)
      },
    },
  }
}

const identityOf = (
  arrays: OutputOf<'inventory.listArrays'>,
): OutputOf<'inventory.probeArray'>['identity'] => {
  const identity = arrays[0]?.identity
  if (identity === undefined) throw new AppError('bug', 'The sample has no identity')
  return identity
}

const factsOf = (hosts: OutputOf<'inventory.listHosts'>): Omit<OutputOf<'inventory.probeHost'>, 'checks'> => {
  const facts = hosts[0]?.facts
  if (facts === undefined) throw new AppError('bug', 'The sample has no facts')
  return facts
}

const templateOf = (
  source: InputOf<'inventory.readTemplate'>['source'],
): OutputOf<'inventory.readTemplate'> =>
  ({
    source,
    name: 'debian-12-web',
    vm: { name: 'debian-12-web', memoryBytes: 1024 ** 3, cpus: 2, firmware: 'bios' },
    configuration: { format: 'libvirt-xml', text: '<domain/>' },
    files: [
      {
        source: '/srv/templates/web.raw',
        name: 'web.raw',
        sizeBytes: 4 * 1024 ** 3,
        disk: { index: 0, format: 'raw', virtualSizeBytes: 4 * 1024 ** 3 },
      },
    ],
    warnings: ['The CD-ROM drive was left out.'],
  }) as OutputOf<'inventory.readTemplate'>
