import type { Command } from 'commander'
import type { OperationInput, PlannedJob } from '#shared/contract/operations.ts'
import { warningMark, type Job, type JobState } from '#shared/domain/job.ts'
import { describeError, exitCodeNeedsOperator, exitCodes } from '#shared/errors/user-text.ts'
import { formatBytes } from '#shared/units/bytes.ts'
import { confirm } from './confirm.ts'
import { recoverJobs } from './recovery.ts'
import { printable } from './io.ts'
import { note } from './tools.ts'
import type { Outcome, Tools } from './tools.ts'
import { watchJobs } from './watch-jobs.ts'

export interface OperationOptions {
  readonly plan?: boolean
  readonly yes?: boolean
}

export const addPlanOption = (command: Command): Command =>
  command.option('--plan', 'print every step with its commands and its undo, and change nothing')

export const addYesOption = (command: Command): Command =>
  command.option('-y, --yes', 'confirm without being asked')

/**
 * Shows the plan, or runs the operation to its end. `question`: what must be confirmed before it runs.
 * With --plan nothing is changed anywhere, so earlier jobs are not recovered either.
 */
export async function runOperation(
  tools: Tools,
  operation: OperationInput,
  options: OperationOptions,
  question?: string,
): Promise<Outcome> {
  if (options.plan === true) {
    const jobs = await tools.client.call('operations.plan', operation)
    return { value: jobs, text: formatPlan(jobs) }
  }
  if (question !== undefined)
    await confirm(tools, question, {
      yes: options.yes,
      advice: 'Add --yes when you are sure; --plan shows what it does.',
    })
  await recoverJobs(tools)
  return runJobs(tools, async () => {
    const { jobIds, warnings } = await tools.client.call('operations.start', operation)
    for (const warning of warnings) note(tools, printable(`Warning: ${warning}`))
    return jobIds
  })
}

/** Starts jobs and waits for their end; `wanted` is the end that counts as success. */
export async function runJobs(
  tools: Tools,
  start: () => Promise<readonly string[]>,
  wanted: JobState = 'done',
): Promise<Outcome> {
  const watch = watchJobs(tools)
  try {
    const jobs = await watch.settle(await start())
    for (const { id } of jobs)
      for (const { text } of (await tools.client.call('jobs.get', { jobId: id })).log)
        if (text.startsWith(warningMark)) note(tools, printable(text))
    return outcomeOf(jobs, wanted)
  } finally {
    watch.stop()
  }
}

/** 10 when any job needs the operator, else the code of the first one that did not do what was asked. */
export function outcomeOf(jobs: readonly Job[], wanted: JobState = 'done'): Outcome {
  const failed = jobs.filter(({ state }) => state !== wanted)
  const [first] = failed
  const codeOfFirst = first === undefined ? 0 : exitCodes[first.error?.code ?? 'cancelled']
  const needsOperator = jobs.some(({ state }) => state === 'needs-operator')
  return {
    value: { jobs },
    text:
      jobs.length === 0
        ? 'There was nothing to do.'
        : jobs.map((job) => `${job.id}  ${job.state}  ${job.title}`).join('\n'),
    problems: failed.flatMap(problemsOf),
    exitCode: needsOperator ? exitCodeNeedsOperator : codeOfFirst,
  }
}

const problemsOf = (job: Job): string[] => [
  ...(job.error === undefined ? [] : describeError(job.error)),
  ...(job.state === 'needs-operator'
    ? [
        `${job.title} could not be undone. "gantry jobs show ${job.id}" shows its steps; correct the cause, then use`,
        `"gantry jobs undo ${job.id}" or "gantry jobs resume ${job.id}", or "gantry jobs close ${job.id}".`,
      ]
    : []),
]

/** Every step as it will be sent. */
export function formatPlan(jobs: readonly PlannedJob[]): string {
  const last = jobs.length === 0 ? 'There is nothing to do.' : 'Nothing was changed: this is the plan.'
  return [...jobs.map(formatPlannedJob), last].join('\n\n')
}

function formatPlannedJob(job: PlannedJob): string {
  const lines = [job.title]
  for (const warning of job.warnings) lines.push(`  Warning: ${warning}`)
  for (const [index, step] of job.steps.entries()) {
    lines.push(`  ${index + 1}. ${step.title}  (${step.target})`)
    lines.push(...step.commands.flatMap((command) => indent(command, '       ')))
    if (step.undoCommands.length > 0) lines.push('     Undo:')
    lines.push(...step.undoCommands.flatMap((command) => indent(command, '       ')))
  }
  lines.push(
    job.bytesToMove === 0 ? '  No data is moved.' : `  Data to move: ${formatBytes(job.bytesToMove)}`,
  )
  return lines.join('\n')
}

export const indent = (text: string, by: string): string[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => `${by}${line}`.trimEnd())
