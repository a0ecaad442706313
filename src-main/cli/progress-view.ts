import type { ApiEvent } from '#main/api/event-hub.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { formatDuration } from '#shared/units/duration.ts'
import { printable } from './io.ts'
import type { CliIo } from './io.ts'
import type { Tools } from './tools.ts'
import { isMoving } from './watched-job.ts'
import type { WatchedJob } from './watched-job.ts'

/** Shows how jobs go on, on standard error. */
export interface ProgressView {
  /** `now` is the one of `all` that `event` changed; without an event it has just begun to be watched. */
  show(all: readonly WatchedJob[], now: WatchedJob, event: ApiEvent | undefined): void
  end(): void
}

export function createProgressView({ io, globals }: Tools): ProgressView {
  if (globals.jsonProgress === true) return jsonLines(io)
  return io.err.isTerminal ? terminalBlock(io) : plainLines(io)
}

const jsonLines = ({ err }: CliIo): ProgressView => ({
  show(_all, _now, event) {
    if (event !== undefined) err.write(`${JSON.stringify(event)}\n`)
  },
  end: () => undefined,
})

/** One line per change of a job or step, and one per tenth of a copy: for logs. */
function plainLines({ err }: CliIo): ProgressView {
  const tenths = new Map<string, number>()
  const tell = (text: string): void => err.write(`${printable(text)}\n`)
  return {
    show(_all, { job, steps }, event) {
      if (event === undefined || event.name === 'jobs.jobChanged') {
        if (tenths.get(`${job.id} ${job.state}`) === undefined) tell(`${job.title}: ${job.state}`)
        tenths.set(`${job.id} ${job.state}`, 0)
      } else if (event.name === 'jobs.stepChanged') {
        const at = steps.findIndex(({ id }) => id === event.payload.stepId)
        const title = steps[at]?.title ?? event.payload.stepId
        tell(`${job.title}: step ${at + 1} of ${steps.length}, ${title}: ${event.payload.state}`)
      } else if (event.name === 'jobs.progressChanged') {
        const { stepId = '', bytes, totalBytes } = event.payload.progress
        if (bytes === undefined || totalBytes === undefined || totalBytes === 0) return
        const tenth = Math.floor((bytes / totalBytes) * 10)
        const key = `${job.id} ${stepId}`
        if (tenth > (tenths.get(key) ?? 0)) tell(`${job.title}: ${progressText({ job, steps })}`)
        tenths.set(key, Math.max(tenth, tenths.get(key) ?? 0))
      }
    },
    end: () => undefined,
  }
}

/** One line per job, drawn over the lines before; the lines of jobs that have ended stay. */
function terminalBlock(io: CliIo): ProgressView {
  let drawn = 0
  let last: readonly WatchedJob[] = []
  return {
    show(all) {
      last = all
      if (io.isAsking()) {
        // the question has moved the cursor: the next block stands on new lines
        drawn = 0
        return
      }
      const room = Math.max(1, (io.err.rows ?? 24) - 2)
      const ordered = all.toSorted((a, b) => Number(isMoving(b.job)) - Number(isMoving(a.job)))
      const lines = ordered.slice(0, room).map((watched) => jobLine(watched, io.err.columns ?? 80))
      if (ordered.length > room) lines.push(`… and ${ordered.length - room} more`)
      const up = drawn === 0 ? '' : `\u001b[${drawn}A`
      io.err.write(`${up}${lines.map((line) => `\r\u001b[2K${line}\n`).join('')}\u001b[J`)
      drawn = lines.length
    },
    end() {
      if (last.length > 0) drawn = 0
    },
  }
}

const barWidth = 20

/** "[########------------]  42 %  Stage web: Copy the VM data, 1.80 GiB of 4.00 GiB, 98.0 MiB/s, 23 s left" */
export function jobLine(watched: WatchedJob, columns: number): string {
  const { job } = watched
  const filled = Math.round(Math.max(0, Math.min(1, job.progress.fraction)) * barWidth)
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}]`
  const percent = `${Math.floor(job.progress.fraction * 100)}`.padStart(3)
  const what = isMoving(job) ? progressText(watched) : job.state
  const line = Array.from(printable(`${bar} ${percent} %  ${job.title}: ${what}`))
  // a line that wraps would not be drawn over
  return line.length < columns ? line.join('') : `${line.slice(0, Math.max(0, columns - 2)).join('')}…`
}

function progressText({ job, steps }: WatchedJob): string {
  const { stepId, bytes, totalBytes, bytesPerSecond, remainingMs } = job.progress
  const active = steps.find(({ state }) => state === 'applying' || state === 'undoing')
  const step = steps.find(({ id }) => id === stepId) ?? active
  const parts: string[] = [
    step === undefined ? job.state : `${steps.indexOf(step) + 1}/${steps.length} ${step.title}`,
  ]
  if (bytes !== undefined)
    parts.push(
      totalBytes === undefined ? formatBytes(bytes) : `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`,
    )
  if (bytesPerSecond !== undefined) parts.push(`${formatBytes(bytesPerSecond)}/s`)
  if (remainingMs !== undefined) parts.push(`${formatDuration(remainingMs)} left`)
  return parts.join(', ')
}
