import { homedir } from 'node:os'
import { join } from 'node:path'
import { app, BrowserWindow, dialog, session } from 'electron'
import { findDataDir } from '#main/app/data-dir.ts'
import { createGantry } from '#main/app/gantry.ts'
import { describeError } from '#shared/errors/user-text.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import { registerAppScheme, serveAppScheme } from './app-protocol.ts'
import { createIpcAdapter } from './ipc-adapter.ts'
import { denyNavigation, denyPermissions } from './lockdown.ts'
import { openWindow } from './window-factory.ts'

const preload = join(import.meta.dirname, '../preload/index.cjs')
const pageDir = join(import.meta.dirname, '../renderer')

/** Builds the core, then the window. The order matters: nothing may call before the core can answer. */
async function start(dataDir: string): Promise<void> {
  await app.whenReady()
  const gantry = await createGantry({ dataDir, env: process.env, followsOthers: true })
  denyPermissions(session.defaultSession)
  serveAppScheme(pageDir)
  const ipc = createIpcAdapter(gantry.api)
  app.on('browser-window-created', (_event, window) => ipc.admit(window.webContents))
  closeBeforeQuit(async () => {
    ipc.close()
    await gantry.close()
  })
  await openWindow(preload)
  if (quitting) return
  // after the window: what recovery does is seen there
  await gantry.recover().catch((error: unknown) => showError('Earlier jobs could not be recovered', error))
}

function closeBeforeQuit(close: () => Promise<void>): void {
  let closed = false
  app.on('will-quit', (event) => {
    if (closed) return
    event.preventDefault()
    closed = true
    // closing must not keep the application from ending, whatever it meets
    void close().then(
      // a quit from within this event is ignored: the one that was prevented must have ended first
      () => setImmediate(() => app.quit()),
      () => app.exit(1),
    )
  })
}

function focusWindow(): void {
  const [window] = BrowserWindow.getAllWindows()
  if (window === undefined) return
  if (window.isMinimized()) window.restore()
  window.focus()
}

let quitting = false
app.once('before-quit', () => (quitting = true))

/** A box waits for its reader: not while the application ends, which cuts work off. */
function showError(title: string, error: unknown): void {
  if (quitting) return
  dialog.showErrorBox(title, describeError(encodeError(error)).join('\n'))
}

function fail(error: unknown): void {
  showError('Gantry cannot start', error)
  app.exit(1)
}

const dataDir = findDataDir({ platform: process.platform, home: homedir(), env: process.env })
// the window's own files lie with the inventory, so that the lock below is one lock per inventory
app.setPath('userData', join(dataDir, 'window'))

// every window asks for the sandbox itself; this covers all other processes, which cannot start so where a person
// has switched Chromium's own sandbox off (as root there is no other way)
if (!app.commandLine.hasSwitch('no-sandbox')) app.enableSandbox()
registerAppScheme()
denyNavigation(app)
// two consoles on one inventory would each run the same recovery: the second one only shows the first
if (app.requestSingleInstanceLock()) {
  app.on('second-instance', focusWindow)
  app.on('window-all-closed', () => app.quit())
  start(dataDir).catch(fail)
} else app.quit()
