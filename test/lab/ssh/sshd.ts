import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import type { SshConnection } from '#shared/domain/connection.ts'

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

export function makeKey(file: string, type = 'ed25519', passphrase = ''): string {
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', passphrase, '-C', 'test', '-f', file])
  return file
}

export const publicKeyOf = (file: string): string => readFileSync(`${file}.pub`, 'utf8').trim()

export interface Sshd {
  readonly dir: string
  readonly port: number
  readonly hostKey: string
  readonly clientKey: string
  /** known_hosts file that has this server's key under its own port. */
  readonly knownHosts: string
  /** Reaches the server with the key and nothing of this computer's own settings. */
  readonly connection: SshConnection
  /** Everything that the server has logged so far. */
  log(): string
  stop(): Promise<void>
}

export interface SshdOptions {
  readonly lines?: readonly string[]
  readonly hostKeyType?: string
  readonly port?: number
}

/** A real OpenSSH server on 127.0.0.1 with its own host key, for the user who runs the tests. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const dir = mkdtempSync(path.join(tmpdir(), 'gantry-sshd-'))
  const port = options.port ?? (await freePort())
  const hostKey = makeKey(path.join(dir, 'host_key'), options.hostKeyType)
  const clientKey = makeKey(path.join(dir, 'client_key'))
  writeFileSync(path.join(dir, 'authorized_keys'), `${publicKeyOf(clientKey)}\n`)
  const config = path.join(dir, 'sshd_config')
  writeFileSync(
    config,
    [
      // The first value counts: a test's own lines go before ours.
      ...(options.lines ?? []),
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${dir}/authorized_keys`,
      `PidFile ${dir}/sshd.pid`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin yes',
      'LogLevel VERBOSE',
      // bash reads the user's ~/.bashrc for a command over SSH unless it believes to be nested.
      'SetEnv SHLVL=2',
      '',
    ].join('\n'),
  )
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const child = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  const { log } = await untilListening(child)
  const knownHosts = path.join(dir, 'known_hosts')
  writeFileSync(knownHosts, `[127.0.0.1]:${port} ${publicKeyOf(hostKey)}\n`)
  return {
    dir,
    port,
    hostKey,
    clientKey,
    knownHosts,
    connection: {
      host: '127.0.0.1',
      port,
      user: userInfo().username,
      identityFiles: [clientKey],
      agent: false,
      configFile: null,
      knownHostsFiles: [knownHosts],
    },
    log,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, 'exit')
        child.kill('SIGTERM')
        await exited
      }
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function untilListening(child: ChildProcess): Promise<{ log: () => string }> {
  let text = ''
  const stderr = child.stderr
  if (stderr === null) throw new Error('no log')
  await new Promise<void>((resolve, reject) => {
    stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes('Server listening')) resolve()
    })
    child.once('exit', () => reject(new Error(`sshd ended: ${text}`)))
  })
  return { log: () => text }
}
