import { spawnSync } from 'node:child_process'

/** `with-display.ts COMMAND ...`: runs it on a virtual display where there is no other one. */
const command = process.argv.slice(2)
const needsDisplay = process.platform === 'linux' && process.env['DISPLAY'] === undefined
const there = spawnSync('xvfb-run', ['--help']).error === undefined
const [program = 'true', ...args] = needsDisplay && there ? ['xvfb-run', '-a', ...command] : command
const { status } = spawnSync(program, args, { stdio: 'inherit' })
process.exitCode = status ?? 1
