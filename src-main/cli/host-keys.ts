import type { InputOf, OutputOf } from '#shared/contract/index.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { confirm } from './confirm.ts'
import { note } from './tools.ts'
import type { Tools } from './tools.ts'

type Connection = InputOf<'connections.inspectHostKey'>['connection']
type HostKey = OutputOf<'connections.inspectHostKey'>

/** More than any way has. */
const mostHops = 16

const nameOf = (key: HostKey): string => (key.port === 22 ? key.host : `[${key.host}]:${key.port}`)

/**
 * Makes sure that every key on the way to a device is known, jump hosts first. An unknown key is accepted by the
 * person or by its fingerprint; a changed one never is. Throws auth-failed.
 */
export async function ensureHostKeys(
  tools: Tools,
  connection: Connection,
  accepted: readonly string[],
): Promise<void> {
  // each round settles one hop, also one that only the SSH configuration names; the device itself is the last one
  for (let round = 0; round <= mostHops; round++) {
    const key = await tools.client.call('connections.inspectHostKey', { connection })
    if (key.state === 'known') return
    if (key.state === 'changed') throw changedKey(key)
    await acceptKey(tools, key, accepted)
    await tools.client.call('connections.trustHostKey', { connection, fingerprint: key.fingerprint })
  }
  throw new AppError('auth-failed', 'The host key is still not known after it was accepted', {
    object: connection.host,
  })
}

async function acceptKey(tools: Tools, key: HostKey, accepted: readonly string[]): Promise<void> {
  if (accepted.includes(key.fingerprint)) return
  if (accepted.length > 0)
    throw new AppError('auth-failed', 'The host key is not the accepted one', {
      object: nameOf(key),
      facts: { shown: `${key.type} ${key.fingerprint}`, accepted: accepted.join(', ') },
      advice: 'Do not go on before you know which key is the right one.',
    })
  note(tools, `${nameOf(key)} shows a host key that is not known yet:\n  ${key.type} ${key.fingerprint}`)
  await confirm(tools, 'Is this the right key?', {
    object: nameOf(key),
    advice: `Compare the fingerprint with the device's own, then add --accept-host-key ${key.fingerprint}`,
  })
}

const changedKey = (key: HostKey): AppError =>
  new AppError('auth-failed', 'The host key has changed', {
    object: nameOf(key),
    facts: { shown: `${key.type} ${key.fingerprint}`, expected: key.expected.join(', ') },
    advice:
      'Either the device was set up anew or somebody stands in between. When you are sure that the new key is right, ' +
      'remove the old one from the known_hosts file and try again.',
  })
