import type { Answer } from '#shared/contract/bridge.ts'
import type { CallDefinition } from '#shared/contract/define.ts'
import { calls } from '#shared/contract/index.ts'
import type { CallName, ContractHandlers, InputOf } from '#shared/contract/index.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { encodeError } from '#shared/errors/wire-error.ts'
import { describeIssues, problemsSentence } from './describe-issues.ts'
import type { NameField } from './describe-issues.ts'
import type { EventHub } from './event-hub.ts'

/** The contract as every way in uses it: window, page and command line. */
export interface Api extends EventHub {
  /** Parses the input, calls, parses the answer. Never rejects: errors are answers. */
  call(name: string, input: unknown): Promise<Answer<unknown>>
}

export interface ApiParts {
  readonly handlers: ContractHandlers
  readonly events: EventHub
}

type AnyHandler = (input: unknown) => Promise<unknown>

function parseInput(definition: CallDefinition, input: unknown, nameField?: NameField): unknown {
  const parsed = definition.input.safeParse(input)
  if (parsed.success) return parsed.data
  throw new AppError('bad-request', problemsSentence(describeIssues(parsed.error.issues, input), nameField))
}

/** Throws what the call would throw for this input before it does anything, in the words of whoever gave it. */
export function checkInput<Name extends CallName>(
  name: Name,
  input: InputOf<Name>,
  nameField: NameField,
): void {
  parseInput(calls[name], input, nameField)
}

export function createApi({ handlers, events }: ApiParts): Api {
  const definitions: Record<string, CallDefinition> = calls

  async function callOrThrow(name: string, input: unknown): Promise<unknown> {
    const definition = Object.hasOwn(definitions, name) ? definitions[name] : undefined
    if (definition === undefined) throw new AppError('bad-request', 'There is no such call', { object: name })
    const parsedInput = parseInput(definition, input)
    // `ContractHandlers` is total and typed; the table is only walked without types here
    const handler = (handlers as unknown as Record<string, AnyHandler>)[name]
    if (handler === undefined) throw new AppError('bug', 'The call has no handler', { object: name })
    const value = await handler(parsedInput)
    const parsedOutput = definition.output.safeParse(value)
    if (!parsedOutput.success)
      throw new AppError(
        'bug',
        `The answer breaks the contract: ${problemsSentence(describeIssues(parsedOutput.error.issues, value))}`,
        { object: name, effect: 'unknown' },
      )
    return parsedOutput.data
  }

  return {
    on: (listener) => events.on(listener),
    emit: (name, payload) => events.emit(name, payload),
    async call(name, input) {
      try {
        return { ok: true, value: await callOrThrow(name, input) }
      } catch (error) {
        return { ok: false, error: encodeError(error) }
      }
    },
  }
}
