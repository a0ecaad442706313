import type { ContractHandlers } from '#shared/contract/index.ts'
import type { SshPool } from '#main/transports/ssh/contract.ts'

const askTimeoutMs = 30_000

type ConnectionHandlers = Pick<ContractHandlers, Extract<keyof ContractHandlers, `connections.${string}`>>

export function createConnections(ssh: SshPool): ConnectionHandlers {
  return {
    'connections.inspectHostKey': async ({ connection }) => {
      const report = await ssh.inspectHostKey(connection, AbortSignal.timeout(askTimeoutMs))
      return { ...report, expected: [...report.expected] }
    },
    'connections.trustHostKey': async ({ connection, fingerprint }) => {
      await ssh.trustHostKey(connection, fingerprint, AbortSignal.timeout(askTimeoutMs))
      return {}
    },
  }
}
