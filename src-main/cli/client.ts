import { checkInput } from '#main/api/api.ts'
import type { Api } from '#main/api/api.ts'
import type { NameField } from '#main/api/describe-issues.ts'
import type { Answer } from '#shared/contract/bridge.ts'
import type { CallName, InputOf, OutputOf } from '#shared/contract/index.ts'
import { decodeError } from '#shared/errors/wire-error.ts'

/** The contract with types, for code that wants exceptions. */
export interface Client {
  /** Throws the AppError that the call answered. */
  call<Name extends CallName>(name: Name, input: InputOf<Name>): Promise<OutputOf<Name>>
  /** Throws bad-request where the call would, in the words of the command line; nothing is called. */
  check<Name extends CallName>(name: Name, input: InputOf<Name>): void
}

export const createClient = (api: Api, nameField: NameField): Client => ({
  check: (name, input) => checkInput(name, input, nameField),
  async call(name, input) {
    checkInput(name, input, nameField)
    // the api has parsed the value with the schema of this name
    const answer = (await api.call(name, input)) as Answer<OutputOf<typeof name>>
    if (!answer.ok) throw decodeError(answer.error)
    return answer.value
  },
})
