import { BrowserWindow } from 'electron'
import { appUrl } from './origin.ts'
import { webPreferences } from './web-preferences.ts'

/**
 * The only maker of windows. Resolves when the page is loaded, or when the window was closed before that; it is shown
 * when it has painted, so nothing flashes.
 */
export async function openWindow(preload: string): Promise<BrowserWindow> {
  const window = new BrowserWindow({
    width: 1280,
    height: 820,
    minWidth: 640,
    minHeight: 480,
    show: false,
    title: 'Gantry',
    autoHideMenuBar: true,
    webPreferences: { ...webPreferences, preload },
  })
  window.once('ready-to-show', () => window.show())
  let isClosing = false
  window.once('close', () => (isClosing = true))
  await window.loadURL(appUrl).catch((error: unknown) => {
    // closing a window ends its load with an error; a person who closes it does not want to read about that
    if (!isClosing && !window.isDestroyed()) throw error
  })
  return window
}
