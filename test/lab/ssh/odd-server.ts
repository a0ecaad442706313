import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import ssh2 from 'ssh2'
import type { AuthContext, Connection, ServerChannel, Session } from 'ssh2'
import { makeKey } from './sshd.ts'

export interface OddServer {
  readonly port: number
  readonly hostKey: string
  stop(): Promise<void>
}

/** An SSH server in this process, for what OpenSSH does not do here: passwords, questions, misbehaviour. */
export async function startOddServer(
  dir: string,
  authenticate: (context: AuthContext) => void,
  onExec: (channel: ServerChannel, connection: Connection) => void = (channel) => {
    channel.exit(0)
    channel.end()
  },
  onSession: (session: Session) => void = () => undefined,
): Promise<OddServer> {
  const hostKey = makeKey(`${dir}/odd_host_key`)
  const connections = new Set<Connection>()
  const server = new ssh2.Server({ hostKeys: [readFileSync(hostKey)] }, (connection) => {
    connections.add(connection)
    connection
      .on('authentication', authenticate)
      .on('error', () => undefined)
      .on('close', () => connections.delete(connection))
      .on('session', (accept) => {
        const session = accept().on('exec', (acceptExec) => onExec(acceptExec(), connection))
        onSession(session)
      })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    hostKey,
    async stop() {
      for (const connection of connections) connection.end()
      server.close()
      await once(server, 'close')
    },
  }
}
