import type { Command } from 'commander'
import { runDemo } from '../demo/run-demo.ts'
import type { MakeLoneAction } from '../tools.ts'

export function registerDemoCommand(program: Command, makeLoneAction: MakeLoneAction): void {
  program
    .command('demo')
    .description(
      'the main job on this computer alone, in a temporary folder: stage, deploy five, scan, decommission; nothing is left',
    )
    .addHelpText(
      'after',
      `
An array that is a folder, this computer as the host. VMs are booted where QEMU with its iSCSI driver is installed.
Your own inventory is not touched.

Examples:
  gantry demo
  gantry demo --json`,
    )
    .action(makeLoneAction(runDemo))
}
