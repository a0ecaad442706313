import type { Command } from 'commander'
import type { Job, JobDetails } from '#shared/domain/job.ts'
import { describeError, exitCodeNeedsOperator, exitCodes } from '#shared/errors/user-text.ts'
import { indent, runJobs } from '../operation.ts'
import { isUnfinished, recoverJobs } from '../recovery.ts'
import { findJob } from '../references.ts'
import { formatTable } from '../table.ts'
import type { MakeAction, Outcome, Tools } from '../tools.ts'

export function registerJobCommands(program: Command, makeAction: MakeAction): void {
  const jobs = program.command('jobs').alias('job').description('what was started, and what became of it')
  const withJob = (verb: string, words: string): Command =>
    jobs
      .command(verb)
      .argument('<job>', 'its id, or the beginning of it')
      .description(words)
      .addHelpText('after', `\nExample:\n  gantry jobs ${verb} 3f2a`)

  jobs
    .command('list')
    .option('--open', 'only those that have not come to an end')
    .description('all jobs, newest first')
    .addHelpText('after', '\nExample:\n  gantry jobs list --open --json')
    .action(
      makeAction(async ({ client }, options: { open?: boolean }) => {
        const all = await client.call('jobs.list', {})
        const listed = options.open === true ? all.filter(isOpen) : all
        return {
          value: listed,
          text: jobsTable(listed.toSorted((a, b) => b.createdAt.localeCompare(a.createdAt))),
        }
      }),
    )

  withJob('show', 'the steps of a job with their commands, and its log').action(
    makeAction(async ({ client }, text: string) => {
      const details = await client.call('jobs.get', { jobId: await findJob(client, text) })
      return { value: details, text: describeJob(details) }
    }),
  )

  withJob('resume', 'go on with an interrupted job, or with one that needs the operator').action(
    makeAction(async (tools, text: string) => {
      const jobId = await findJob(tools.client, text)
      return runJobs(tools, () => tools.client.call('jobs.resume', { jobId }).then(() => [jobId]))
    }),
  )

  withJob('undo', 'undo an interrupted job, or try the undo again of one that needs the operator').action(
    makeAction(async (tools, text: string) => {
      const jobId = await findJob(tools.client, text)
      return runJobs(tools, () => tools.client.call('jobs.undo', { jobId }).then(() => [jobId]), 'undone')
    }),
  )

  withJob('cancel', 'ask a running job to stop; it is then undone').action(
    makeAction(async ({ client }, text: string) => {
      const jobId = await findJob(client, text)
      await client.call('jobs.cancel', { jobId })
      return { value: { jobId, requested: true }, text: `Job ${jobId} was asked to stop.` }
    }),
  )

  withJob('close', 'end a job that needs the operator, as it is; you have looked at the devices').action(
    makeAction(async ({ client }, text: string) => {
      const jobId = await findJob(client, text)
      await client.call('jobs.close', { jobId })
      return { value: { jobId, closed: true }, text: `Job ${jobId} is closed.` }
    }),
  )

  jobs
    .command('recover')
    .description('bring the jobs of a console that is gone to an end: each is finished or undone')
    .addHelpText('after', '\nExample:\n  gantry jobs recover')
    .action(makeAction(runRecover))
}

async function runRecover(tools: Tools): Promise<Outcome> {
  const recovered = await recoverJobs(tools)
  const unfinished = (await tools.client.call('jobs.list', {})).filter(isUnfinished)
  const needsOperator = unfinished.filter(({ state }) => state === 'needs-operator')
  const interrupted = unfinished.filter(({ state }) => state === 'interrupted')
  const nothing =
    unfinished.length === 0 ? 'There was nothing to recover.' : 'There was nothing that could be recovered.'
  return {
    value: {
      recovered: recovered.map(({ job, before }) => ({ ...job, before })),
      needsOperator,
      interrupted,
    },
    text: recovered.length === 0 ? nothing : jobsTable(recovered.map(({ job }) => job)),
    problems: unfinished.map(
      ({ id, title, state }) =>
        `${title} ${state === 'interrupted' ? 'is still interrupted' : 'needs the operator'}: "gantry jobs show ${id}" shows its steps.`,
    ),
    ...exitCodeOf(needsOperator, interrupted),
  }
}

function exitCodeOf(needsOperator: readonly Job[], [interrupted]: readonly Job[]): { exitCode?: number } {
  if (needsOperator.length > 0) return { exitCode: exitCodeNeedsOperator }
  return interrupted === undefined ? {} : { exitCode: exitCodes[interrupted.error?.code ?? 'not-supported'] }
}

const isOpen = ({ state }: Job): boolean => state !== 'done' && state !== 'undone' && state !== 'closed'

const jobsTable = (jobs: readonly Job[]): string =>
  jobs.length === 0
    ? 'No jobs.'
    : formatTable(jobs, [
        { title: 'JOB', value: ({ id }) => id },
        { title: 'STATE', value: ({ state }) => state },
        {
          title: 'DONE',
          align: 'right',
          value: ({ progress }) => `${Math.floor(progress.fraction * 100)} %`,
        },
        { title: 'STARTED', value: ({ createdAt }) => createdAt },
        { title: 'TITLE', value: ({ title }) => title },
      ])

function describeJob(job: JobDetails): string {
  const lines = [
    job.title,
    `  Job ${job.id}, ${job.state}, begun ${job.createdAt}, last change ${job.updatedAt}`,
    `  After a restart: ${job.afterRestart}`,
    ...(job.error === undefined ? [] : describeError(job.error).map((line) => `  ${line}`)),
  ]
  for (const [index, step] of job.steps.entries()) {
    lines.push(`  ${index + 1}. ${step.title}  (${step.target}): ${step.state}`)
    lines.push(...step.commands.flatMap((command) => indent(command, '       ')))
    if (step.undoCommands.length > 0) lines.push('     Undo:')
    lines.push(...step.undoCommands.flatMap((command) => indent(command, '       ')))
  }
  if (job.log.length > 0) lines.push('  Log:')
  lines.push(
    ...job.log.map(
      ({ at, stepId, text }) => `    ${at}  ${stepId === undefined ? '' : `${stepId}: `}${text}`,
    ),
  )
  return lines.join('\n')
}
