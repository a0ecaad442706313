import { BrowserWindow } from 'electron'
import { appUrl } from './origin.ts'
import { webPreferences } from './web-preferences.ts'

/** The only maker of windows. Resolves when the page is loaded; shown when it has painted, so nothing flashes. */
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
  await window.loadURL(appUrl)
  return window
}
