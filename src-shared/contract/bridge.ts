import type { WireError } from '../errors/wire-error.ts'
import type { CallName, EventName, EventPayload, InputOf, OutputOf } from './index.ts'

/** What a call answers in every way in. Nothing is thrown across a border. */
export type Answer<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly error: WireError }

/** `window.gantry`: one function per call of the contract, and the events. Types only: the preload has no schemas. */
export interface Bridge {
  readonly calls: {
    readonly [Name in CallName]: (input: InputOf<Name>) => Promise<Answer<OutputOf<Name>>>
  }
  /** Returns the function that ends the subscription. An unknown name is never called. */
  on<Name extends EventName>(name: Name, listener: (payload: EventPayload<Name>) => void): () => void
}
