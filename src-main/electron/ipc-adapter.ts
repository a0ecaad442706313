import { ipcMain } from 'electron'
import type { IpcMainInvokeEvent, WebContents } from 'electron'
import type { Api } from '#main/api/api.ts'
import { callChannel, eventChannel } from '#shared/contract/channels.ts'
import type { Answer } from '#shared/contract/bridge.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import { isTrustedSender } from './sender.ts'

export interface IpcAdapter {
  /** The window may call, and gets events, until it is closed. */
  admit(contents: WebContents): void
  close(): void
}

/** The contract over IPC: one channel for calls, one for events. The only user of ipcMain. */
export function createIpcAdapter(api: Api): IpcAdapter {
  const windows = new Map<number, WebContents>()

  function answerCall(event: IpcMainInvokeEvent, name: unknown, input: unknown): Promise<Answer<unknown>> {
    if (isTrustedSender(event, new Set(windows.keys()))) return api.call(String(name), input)
    const refused = new AppError('bad-request', 'The sender is not a window of Gantry')
    return Promise.resolve({ ok: false, error: encodeError(refused) })
  }

  ipcMain.handle(callChannel, answerCall)
  const stop = api.on((event) => {
    for (const contents of windows.values()) if (!contents.isDestroyed()) contents.send(eventChannel, event)
  })
  return {
    admit(contents) {
      const { id } = contents
      windows.set(id, contents)
      contents.once('destroyed', () => windows.delete(id))
    },
    close() {
      stop()
      ipcMain.removeHandler(callChannel)
    },
  }
}
