import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { _electron as electron } from '@playwright/test'
import type { ElectronApplication, Page } from '@playwright/test'

const dist = process.env['ELECTRON_OVERRIDE_DIST_PATH'] ?? resolve('node_modules/electron/dist')
export const executable = join(dist, process.platform === 'win32' ? 'electron.exe' : 'electron')

/** Why the tests cannot run here; undefined: they can. */
export function missingForElectron(): string | undefined {
  if (!existsSync(executable)) return `there is no Electron at ${executable} (ELECTRON_OVERRIDE_DIST_PATH)`
  if (!existsSync('out/main/index.cjs')) return 'the application is not built (npm run build)'
  if (process.platform === 'linux' && process.env['DISPLAY'] === undefined)
    return 'there is no display (xvfb-run -a)'
  return undefined
}

export interface Launched {
  readonly app: ElectronApplication
  readonly window: Page
  readonly dataDir: string
  /** Violations of the policy and errors on the console of the page. */
  readonly complaints: string[]
}

/** Arguments of a start from the checkout. Chromium's sandbox needs a user that is not root. */
export const startArguments = (): string[] => [
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  resolve('out/main/index.cjs'),
]

/** The built application on a data folder of its own, which `use` leaves behind for nobody. */
export async function withGantry(
  use: (launched: Launched) => Promise<void>,
  prepare: (dataDir: string) => void = () => undefined,
): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'gantry-electron-'))
  // without executablePath: only then does Playwright hold the application until it listens (it finds the same Electron)
  prepare(dataDir)
  const app = await electron.launch({
    args: startArguments(),
    env: { ...environment(), GANTRY_DATA_DIR: dataDir },
  })
  try {
    const complaints: string[] = []
    app.on('window', (page) => {
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text())
      })
      page.on('pageerror', (error) => complaints.push(error.message))
    })
    const window = await app.firstWindow()
    await use({ app, window, dataDir, complaints })
  } finally {
    await app.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}

/** The variables that are set: Playwright takes no undefined ones. */
export const environment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
