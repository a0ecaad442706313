import { Option } from 'commander'
import type { Command } from 'commander'
import { AppError } from '#shared/errors/app-error.ts'
import { exitCodes } from '#shared/errors/user-text.ts'
import { confirm } from '../confirm.ts'
import { describeLock, describeScan, describeUnit } from '../describe-unit.ts'
import { printable } from '../io.ts'
import { addPlanOption, addYesOption, formatPlan, runOperation } from '../operation.ts'
import type { OperationOptions } from '../operation.ts'
import { fileOption, repeatedFile, wholeNumberOption } from '../parse-options.ts'
import { note } from '../tools.ts'
import type { MakeAction, Outcome, Tools } from '../tools.ts'
import { addDeviceOptions, addPortalOptions, readDevice, readPortal } from '../unit-device-options.ts'
import type { DeviceOptions, PortalOptions } from '../unit-device-options.ts'
import { registerUnitWrite } from './unit-write.ts'

const where = '--portal 192.0.2.10:3260 --target iqn.2026-11.lab:web --lun 1'

export function registerUnitCommands(program: Command, makeAction: MakeAction): void {
  const unit = program
    .command('unit')
    .description('VM units: what lies on a LUN or in a container file, read by this console itself')
  registerShow(unit, makeAction)
  registerScan(unit, makeAction)
  registerVerify(unit, makeAction)
  registerExport(unit, makeAction)
  registerUnitWrite(unit, makeAction)
  registerRepair(unit, makeAction)
  registerLocks(unit, makeAction)
}

function registerShow(unit: Command, makeAction: MakeAction): void {
  addDeviceOptions(unit.command('show'))
    .description('what a LUN or file is, and all that its header tells; changes nothing')
    .addHelpText(
      'after',
      `\nExamples:\n  gantry unit show --file /srv/vol1/web.ctr\n  gantry unit show ${where}`,
    )
    .action(
      makeAction(async ({ client, io }, options: DeviceOptions) => {
        const report = await client.call('units.show', { device: readDevice(options, io.env) })
        // a script sees at once that a unit is damaged
        const exitCode = report.kind === 'damaged' ? exitCodes['device-rejected'] : 0
        return { value: report, text: describeUnit(report, Date.now()), exitCode }
      }),
    )
}

function registerScan(unit: Command, makeAction: MakeAction): void {
  addPortalOptions(unit.command('scan'))
    .option('--file <path>', 'a file or block device instead; may be given several times', repeatedFile)
    .description('every LUN of every target of a portal: the VMs, what is damaged, boot disks, all others')
    .addHelpText(
      'after',
      '\nExamples:\n  gantry unit scan --portal 192.0.2.10\n  gantry unit scan --portal 192.0.2.10 --chap-user lab --chap-secret-env CHAP --json',
    )
    .action(
      makeAction(async ({ client, io }, options: PortalOptions & { file?: string[] }) => {
        if ((options.file === undefined) === (options.portal === undefined))
          throw new AppError('bad-request', 'It is not clear what is to be scanned', {
            advice: 'Give either --portal or --file.',
          })
        const found = await client.call(
          'units.scan',
          options.file === undefined ? { portal: readPortal(options, io.env) } : { files: [...options.file] },
        )
        return { value: found, text: describeScan(found) }
      }),
    )
}

function registerVerify(unit: Command, makeAction: MakeAction): void {
  addPlanOption(addDeviceOptions(unit.command('verify')))
    .description('read the disks of a unit and compare them with the checksums of its header')
    .addHelpText('after', `\nExample:\n  gantry unit verify ${where}`)
    .action(
      makeAction((tools, options: DeviceOptions & OperationOptions) =>
        runOperation(tools, { kind: 'verify-unit', device: readDevice(options, tools.io.env) }, options),
      ),
    )
}

function registerExport(unit: Command, makeAction: MakeAction): void {
  addPlanOption(addDeviceOptions(unit.command('export')))
    .description('read a disk of a unit into a new raw file of this computer')
    .option('--disk <index>', 'which disk (default: 0)', wholeNumberOption)
    .requiredOption('--to <path>', 'the new file', fileOption)
    .addHelpText('after', `\nExample:\n  gantry unit export ${where} --disk 0 --to ./web.raw`)
    .action(
      makeAction((tools, options: DeviceOptions & OperationOptions & { disk?: number; to: string }) =>
        runOperation(
          tools,
          {
            kind: 'export-disk',
            device: readDevice(options, tools.io.env),
            disk: options.disk ?? 0,
            path: options.to,
          },
          options,
        ),
      ),
    )
}

function registerRepair(unit: Command, makeAction: MakeAction): void {
  addYesOption(addPlanOption(addDeviceOptions(unit.command('repair'))))
    .description(
      'make damaged copies of the partition table and the header again from the others, and move the backup table of a LUN that has grown; must be confirmed',
    )
    .addHelpText('after', `\nExamples:\n  gantry unit repair ${where} --plan\n  gantry unit repair ${where}`)
    .action(
      makeAction(async (tools, options: DeviceOptions & OperationOptions) => {
        const operation = { kind: 'repair-unit' as const, device: readDevice(options, tools.io.env) }
        if (options.plan === true) return runOperation(tools, operation, options)
        return repair(tools, operation, options)
      }),
    )
}

/** Shown before the question: a person agrees to these writes and no others. */
async function repair(
  tools: Tools,
  operation: { kind: 'repair-unit'; device: ReturnType<typeof readDevice> },
  options: OperationOptions,
): Promise<Outcome> {
  const jobs = await tools.client.call('operations.plan', operation)
  if (jobs.every(({ steps }) => steps.every(({ commands }) => commands.length === 0)))
    return { value: { jobs: [] }, text: 'Nothing is damaged; nothing was changed.' }
  note(tools, printable(formatPlan(jobs)))
  await confirm(tools, 'Write this?', {
    yes: options.yes,
    advice: 'Add --yes when you are sure; --plan shows what it does.',
  })
  return runOperation(tools, operation, options)
}

function registerLocks(unit: Command, makeAction: MakeAction): void {
  addDeviceOptions(unit.command('lock'))
    .description('take the lock of a unit for this computer, so that no other host runs its VM')
    .addHelpText('after', `\nExample:\n  gantry unit lock ${where}`)
    .action(
      makeAction(async ({ client, io }, options: DeviceOptions) => {
        const taken = await client.call('units.lock', { device: readDevice(options, io.env) })
        return {
          value: taken,
          text: `Lock: ${describeLock({ state: 'held', lock: taken.lock, isGone: false }, Date.now())}`,
          problems: weaker(taken.method),
        }
      }),
    )

  addYesOption(addDeviceOptions(unit.command('unlock')))
    .description('free the lock that this computer has taken')
    .addOption(new Option('--break', 'free it whoever has it; must be confirmed'))
    .addHelpText('after', `\nExamples:\n  gantry unit unlock ${where}\n  gantry unit unlock ${where} --break`)
    .action(
      makeAction(async (tools, options: DeviceOptions & OperationOptions & { break?: boolean }) => {
        const device = readDevice(options, tools.io.env)
        const anyone = options.break === true
        if (anyone) await confirmBreak(tools, device, options)
        const freed = await tools.client.call('units.unlock', { device, anyone })
        return {
          value: freed,
          text: `Lock before: ${describeLock(freed.before, Date.now())}. It is free now.`,
          problems: weaker(freed.method),
        }
      }),
    )
}

async function confirmBreak(
  tools: Tools,
  device: ReturnType<typeof readDevice>,
  options: OperationOptions,
): Promise<void> {
  if (options.yes === true) return
  const { lock } = await tools.client.call('units.show', { device })
  const owner = lock === undefined ? 'not known' : describeLock(lock, Date.now())
  await confirm(
    tools,
    `The lock is ${owner}. Is it certain that no host runs the VM, and shall it be freed?`,
    {
      advice: 'Add --yes when you are sure: two hosts that run one VM destroy its disks.',
    },
  )
}

const weaker = (method: 'atomic' | 'read-back' | undefined): string[] =>
  method !== 'read-back'
    ? []
    : [
        'The device has no COMPARE AND WRITE: it was written and read back. Two consoles that act in the same second may both believe that they have the lock.',
      ]
