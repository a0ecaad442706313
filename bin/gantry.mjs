#!/usr/bin/env node
// Runs the command line from its sources, which needs Node 24; with an older one, the Node of the checkout is used.
import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync } from 'node:fs'
import * as module from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const neededMajor = 24
const major = Number(process.versions.node.split('.', 1)[0])
const pathOf = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

function cacheFolder() {
  const { XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = process.env
  if (process.platform === 'win32') return join(local, 'Gantry', 'Cache')
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'gantry')
  return join(xdg?.startsWith('/') ? xdg : join(homedir(), '.cache'), 'gantry')
}

/** Whoever can write in the folder, or put another in its place, decides what runs. */
function isOwnAlone(folder) {
  if (process.platform === 'win32') return true
  const uid = process.getuid()
  return [folder, dirname(folder), dirname(dirname(folder))].every((path) => {
    const found = lstatSync(path)
    return found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0
  })
}

if (major >= neededMajor) {
  // half of a start is compiling; NODE_DISABLE_COMPILE_CACHE=1 and NODE_COMPILE_CACHE work as ever
  try {
    const folder = join(cacheFolder(), 'compiled')
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    if (isOwnAlone(folder)) module.enableCompileCache(folder)
  } catch {
    // no such folder of the user's: every start compiles
  }
  await import('../src-main/cli/main.ts')
} else {
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
