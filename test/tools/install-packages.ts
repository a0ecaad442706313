import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { ensureLabPackages, whyNoLab } from '../lab/packages.ts'

/** Debian package -> a file of it: what the tests of the page and of the window need beside the lab's packages. */
const windowPackages: Record<string, string> = {
  chromium: 'chromium',
  xvfb: 'Xvfb',
  xauth: 'xauth',
  'libgtk-3-0': '/usr/lib/x86_64-linux-gnu/libgtk-3.so.0',
  libnss3: '/usr/lib/x86_64-linux-gnu/libnss3.so',
  libasound2: '/usr/lib/x86_64-linux-gnu/libasound.so.2',
  libgbm1: '/usr/lib/x86_64-linux-gnu/libgbm.so.1',
  libxss1: '/usr/lib/x86_64-linux-gnu/libXss.so.1',
  'libatk-bridge2.0-0': '/usr/lib/x86_64-linux-gnu/libatk-bridge-2.0.so.0',
  libdrm2: '/usr/lib/x86_64-linux-gnu/libdrm.so.2',
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)

const isThere = (file: string): boolean =>
  file.startsWith('/')
    ? existsSync(file)
    : (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, file)))

/** Installs with apt-get what the tests need, where it may; says what is missing where it may not. */
export async function installTestPackages(): Promise<void> {
  const why = whyNoLab()
  if (why === undefined) await ensureLabPackages(say)
  else say(`No lab on this computer: ${why}`)
  const missing = Object.keys(windowPackages).filter((name) => !isThere(windowPackages[name] ?? name))
  if (missing.length === 0) return
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !isThere('apt-get')) {
    say(`The tests of the page and the window may need: ${missing.join(' ')}`)
    return
  }
  say(`Installing ${missing.join(' ')} ...`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  spawnSync('apt-get', ['update', '-qq'], { env, stdio: 'inherit' })
  const { status } = spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) say(`apt-get could not install all of: ${missing.join(' ')}`)
}
