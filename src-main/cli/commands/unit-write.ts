import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import type { OperationInput } from '#shared/contract/operations.ts'
import { addPlanOption, runOperation } from '../operation.ts'
import type { OperationOptions } from '../operation.ts'
import { present, repeatedFile, sizeOption, wholeNumberOption } from '../parse-options.ts'
import type { MakeAction } from '../tools.ts'
import { addDeviceOptions, readDevice } from '../unit-device-options.ts'
import type { DeviceOptions } from '../unit-device-options.ts'

type WriteInput = Extract<OperationInput, { kind: 'write-unit' }>

interface WriteOptions extends DeviceOptions, OperationOptions {
  readonly image: string[]
  readonly secondary?: NonNullable<WriteInput['secondaries']>
  readonly name: string
  readonly memory: number
  readonly cpus: number
  readonly firmware?: NonNullable<WriteInput['hardware']['firmware']>
  readonly os?: NonNullable<WriteInput['osType']>
  readonly state?: number
  readonly zeroed?: boolean
  readonly notes?: string
}

function secondary(
  text: string,
  before: NonNullable<WriteInput['secondaries']> = [],
): NonNullable<WriteInput['secondaries']> {
  const [, index, target, lun] = /^(\d+)=(.+)\/(\d+)$/.exec(text) ?? []
  if (target === undefined)
    throw new InvalidArgumentError('Write DISK=TARGET/LUN, such as 1=iqn.2026-11.lab:data/1.')
  return [...before, { index: Number(index), target, lun: Number(lun) }]
}

export function registerUnitWrite(unit: Command, makeAction: MakeAction): void {
  addPlanOption(addDeviceOptions(unit.command('write')))
    .description('write disk images of this computer as a VM unit to an empty LUN or file, and verify it')
    .requiredOption(
      '--image <file>',
      'raw, VHD, qcow2, VHDX or VMDK; several in the order of the disks',
      repeatedFile,
    )
    .option(
      '--secondary <disk=target/lun>',
      'put this disk, counted from 0, on a LUN of its own at the same portal; may be given several times',
      secondary,
    )
    .requiredOption('--name <name>', 'name of the VM')
    .requiredOption('--memory <size>', 'its memory, like 2G', sizeOption)
    .requiredOption('--cpus <number>', 'its CPUs', wholeNumberOption)
    .addOption(new Option('--firmware <type>', 'firmware (default: bios)').choices(['bios', 'uefi']))
    .addOption(
      new Option('--os <type>', 'OS of the hosts that it is for (default: linux)').choices([
        'linux',
        'windows',
        'vmware',
      ]),
    )
    .option('--state <size>', 'room for the state of the VM (default: its memory)', sizeOption)
    .option('--zeroed', 'the device reads as zeros everywhere (a new thin LUN): zeros are not written')
    .option('--notes <text>', 'notes that are kept in the unit')
    .addHelpText(
      'after',
      `
Examples:
  gantry unit write --image ./web.qcow2 --name web --memory 2G --cpus 2 --portal 192.0.2.10 --target iqn.2026-11.lab:web --plan
  gantry unit write --image ./web.raw --image ./data.raw --secondary 1=iqn.2026-11.lab:data/1 --name web --memory 2G --cpus 2 --portal 192.0.2.10 --target iqn.2026-11.lab:web
  gantry unit write --image ./web.raw --name web --memory 2G --cpus 2 --file ./web.unit --zeroed`,
    )
    .action(
      makeAction((tools, options: WriteOptions) =>
        runOperation(
          tools,
          {
            kind: 'write-unit',
            device: readDevice(options, tools.io.env),
            images: options.image,
            name: options.name,
            hardware: {
              memoryBytes: options.memory,
              cpus: options.cpus,
              ...present({ firmware: options.firmware }),
            },
            ...present({
              secondaries: options.secondary,
              osType: options.os,
              stateBytes: options.state,
              isZeroed: options.zeroed,
              notes: options.notes,
            }),
          },
          options,
        ),
      ),
    )
}
