import { EventEmitter } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { App, Session } from 'electron'
import { expect, test } from 'vitest'
import { denyNavigation, denyPermissions } from './lockdown.ts'
import { webPreferences } from './web-preferences.ts'

test('the preferences of every window are the agreed ones', () => {
  expect(webPreferences).toEqual({
    nodeIntegration: false,
    nodeIntegrationInWorker: false,
    nodeIntegrationInSubFrames: false,
    contextIsolation: true,
    sandbox: true,
    webSecurity: true,
    webviewTag: false,
    allowRunningInsecureContent: false,
    experimentalFeatures: false,
    navigateOnDragDrop: false,
    spellcheck: false,
  })
})

/** What of Electron's objects the lockdown sets. */
function lockedContents(): EventEmitter & { openHandler?: () => unknown } {
  const app = new EventEmitter()
  const contents = Object.assign(new EventEmitter(), {
    openHandler: undefined as (() => unknown) | undefined,
    setWindowOpenHandler(handler: () => unknown) {
      contents.openHandler = handler
    },
  })
  denyNavigation(app as unknown as App)
  app.emit('web-contents-created', {}, contents)
  return contents as EventEmitter & { openHandler?: () => unknown }
}

const isPrevented = (contents: EventEmitter, name: string, url: string): boolean => {
  let prevented = false
  contents.emit(name, { url, preventDefault: () => (prevented = true) })
  return prevented
}

test.each(['will-navigate', 'will-redirect', 'will-frame-navigate'])(
  '%s leaves the own page only for itself',
  (name) => {
    const contents = lockedContents()
    expect(isPrevented(contents, name, 'app://gantry/index.html')).toBe(false)
    for (const url of [
      'https://example.org/',
      'app://other/',
      'file:///etc/passwd',
      'javascript:1',
      'data:text/html,x',
    ])
      expect(isPrevented(contents, name, url), url).toBe(true)
  },
)

test('no window is opened and nothing is embedded', () => {
  const contents = lockedContents()
  expect(contents.openHandler?.()).toEqual({ action: 'deny' })
  expect(isPrevented(contents, 'will-attach-webview', 'app://gantry/')).toBe(true)
})

test('every permission but writing text to the clipboard is denied', () => {
  type Request = (contents: unknown, permission: string, answer: (granted: boolean) => void) => void
  type Check = (contents: unknown, permission: string) => boolean
  const handlers: { request?: Request; check?: Check; device?: () => boolean } = {}
  denyPermissions({
    setPermissionRequestHandler: (handler: Request) => (handlers.request = handler),
    setPermissionCheckHandler: (handler: Check) => (handlers.check = handler),
    setDevicePermissionHandler: (handler: () => boolean) => (handlers.device = handler),
  } as unknown as Session)
  const granted = [
    'media',
    'geolocation',
    'notifications',
    'clipboard-read',
    'openExternal',
    'clipboard-sanitized-write',
  ].filter((permission) => {
    let answered = false
    handlers.request?.({}, permission, (answer) => (answered = answer))
    expect(handlers.check?.({}, permission)).toBe(answered)
    return answered
  })
  expect(granted).toEqual(['clipboard-sanitized-write'])
  expect(handlers.device?.()).toBe(false)
})

test('one file makes windows, one file has ipcMain, and no file weakens Chromium', async () => {
  const files = (await readdir(import.meta.dirname)).filter(
    (name) => name.endsWith('.ts') && !name.includes('.test.'),
  )
  const sources = await Promise.all(
    files.map(async (name) => ({ name, text: await readFile(join(import.meta.dirname, name), 'utf8') })),
  )
  const having = (pattern: RegExp): string[] =>
    sources.filter(({ text }) => pattern.test(text)).map(({ name }) => name)
  expect(having(/new (BrowserWindow|WebContentsView|BrowserView)\b/)).toEqual(['window-factory.ts'])
  expect(having(/\bipcMain\b/)).toEqual(['ipc-adapter.ts'])
  expect(having(/appendSwitch|loadFile|https?:\/\/|executeJavaScript|openExternal/)).toEqual([])
})
