#!/usr/bin/env node
// Runs the command line from its sources, which needs Node 24; with an older one, the Node of the checkout is used.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const neededMajor = 24
const major = Number(process.versions.node.split('.', 1)[0])
const pathOf = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

if (major >= neededMajor) await import('../src-main/cli/main.ts')
else {
  const own = pathOf(
    process.platform === 'win32' ? 'node_modules/node/bin/node.exe' : 'node_modules/node/bin/node',
  )
  if (existsSync(own) && process.env.GANTRY_LAUNCHED === undefined) {
    // signals from the terminal reach both processes; this one only waits for the other's answer
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined)
    const env = { ...process.env, GANTRY_LAUNCHED: '1' }
    const { status, signal } = spawnSync(own, [pathOf('bin/gantry.mjs'), ...process.argv.slice(2)], {
      stdio: 'inherit',
      env,
    })
    process.exitCode = status ?? (signal === 'SIGINT' ? 130 : 1)
  } else {
    process.stderr.write(
      `gantry needs Node ${neededMajor} or newer; this is Node ${process.versions.node}.\n` +
        'Run "npm ci" in the folder of Gantry, which brings one, or install a newer Node.\n',
    )
    process.exitCode = 1
  }
}
