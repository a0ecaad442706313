import type { SecretSource } from '#shared/domain/connection.ts'
import { AppError } from '#shared/errors/app-error.ts'

/** `option`: the option that names the variable. Throws bad-request when there is no such variable. */
export function secretVariable(variable: string, option: string, env: NodeJS.ProcessEnv): SecretSource {
  if (env[variable] === undefined)
    throw new AppError('bad-request', 'There is no such environment variable', {
      // the name only when it can be one: a secret given by mistake is not repeated
      object: /^[A-Z_][A-Z0-9_]*$/.test(variable) ? `variable ${variable}` : option,
      advice: 'Name a variable that holds the secret, and set it before running gantry.',
    })
  return { from: 'env', variable }
}
