import { contextBridge, ipcRenderer } from 'electron'
import type { Bridge } from '#shared/contract/bridge.ts'
import { callChannel, eventChannel } from '#shared/contract/channels.ts'
import { callNames, eventNames } from '#shared/contract/names.ts'

type Listener = (payload: unknown) => void
const listeners = new Map<string, Set<Listener>>(eventNames.map((name) => [name, new Set()]))

// one subscription for the page; listeners get the payload and never Electron's event object
ipcRenderer.on(eventChannel, (_event, { name, payload }: { name: string; payload: unknown }) => {
  for (const listener of listeners.get(name) ?? []) listener(payload)
})

const calls = Object.fromEntries(
  callNames.map((name) => [
    name,
    (input: unknown): Promise<unknown> => ipcRenderer.invoke(callChannel, name, input),
  ]),
)

function on(name: string, listener: Listener): () => void {
  const entry: Listener = (payload) => listener(payload)
  listeners.get(name)?.add(entry)
  return () => listeners.get(name)?.delete(entry)
}

contextBridge.exposeInMainWorld('gantry', { calls, on } satisfies Record<keyof Bridge, unknown>)
