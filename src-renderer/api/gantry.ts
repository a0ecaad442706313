import type { Answer, Bridge } from '#shared/contract/bridge.ts'
import type { CallName, EventName, EventPayload, InputOf, OutputOf } from '#shared/contract/index.ts'
import { encodeFault } from './fault.ts'

declare global {
  interface Window {
    /** Made by the preload; not there when the page is opened in an ordinary browser. */
    readonly gantry?: Bridge
  }
}

/** Calls the core. Never rejects. */
export async function call<Name extends CallName>(
  name: Name,
  input: InputOf<Name>,
): Promise<Answer<OutputOf<Name>>> {
  const bridge = window.gantry
  if (bridge === undefined)
    return {
      ok: false,
      error: {
        ...encodeFault('This page is not connected to Gantry'),
        code: 'unreachable',
        advice: 'Start the Gantry application; this page works only in its window.',
      },
    }
  try {
    return await bridge.calls[name](input)
  } catch (error) {
    return { ok: false, error: encodeFault(error) }
  }
}

/** Returns the function that ends the subscription. */
export function listen<Name extends EventName>(
  name: Name,
  listener: (payload: EventPayload<Name>) => void,
): () => void {
  return window.gantry?.on(name, listener) ?? (() => undefined)
}
