import { events } from '#shared/contract/index.ts'
import type { EventName, EventPayload } from '#shared/contract/index.ts'
import { AppError, toAppError } from '#shared/errors/app-error.ts'
import { describeIssues, problemsSentence } from './describe-issues.ts'

/** An event with the payload of its name. */
export type ApiEvent = {
  readonly [Name in EventName]: { readonly name: Name; readonly payload: EventPayload<Name> }
}[EventName]
export type ApiEventListener = (event: ApiEvent) => void

/** Where services tell what happened and ways in listen. */
export interface EventHub {
  /** Returns the function that ends the subscription. */
  on(listener: ApiEventListener): () => void
  /** Never throws: a payload that breaks the contract, or a listener that throws, goes to `onFault`. */
  emit<Name extends EventName>(name: Name, payload: EventPayload<Name>): void
}

/** Payloads are parsed, so that a field that the contract does not name never leaves. */
export function createEventHub(onFault: (error: AppError) => void = () => undefined): EventHub {
  const listeners = new Set<ApiEventListener>()
  return {
    on(listener) {
      // a wrapper of its own: the same function may subscribe twice
      const entry: ApiEventListener = (event) => listener(event)
      listeners.add(entry)
      return () => listeners.delete(entry)
    },
    emit(name, payload) {
      const parsed = events[name].safeParse(payload)
      if (!parsed.success) {
        const problems = problemsSentence(describeIssues(parsed.error.issues, payload))
        onFault(new AppError('bug', `An event breaks the contract: ${problems}`, { object: name }))
        return
      }
      const event = { name, payload: parsed.data } as ApiEvent
      for (const listener of listeners)
        try {
          listener(event)
        } catch (error) {
          onFault(toAppError(error))
        }
    },
  }
}
