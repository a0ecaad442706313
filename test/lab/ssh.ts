import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exec } from './exec.ts'
import type { ExecOptions, ExecResult } from './exec.ts'

/** `<dir>/ssh`: one key to log in with, one host key for each machine, all made for this lab. */
export interface LabKeys {
  readonly identityFile: string
  readonly authorizedKeysFile: string
  readonly knownHostsFile: string
  hostKeyFile(machine: string): string
}

export const labKeys = (labDir: string): LabKeys => ({
  identityFile: join(labDir, 'ssh', 'console'),
  authorizedKeysFile: join(labDir, 'ssh', 'authorized_keys'),
  knownHostsFile: join(labDir, 'ssh', 'known_hosts'),
  hostKeyFile: (machine) => join(labDir, 'ssh', `hostkey-${machine}`),
})

async function makeKey(file: string, comment: string): Promise<void> {
  if (!existsSync(file))
    await exec('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', file])
}

/** Makes the keys that are missing and writes known_hosts for these ports. */
export async function prepareKeys(labDir: string, ports: Readonly<Record<string, number>>): Promise<LabKeys> {
  const keys = labKeys(labDir)
  mkdirSync(join(labDir, 'ssh'), { recursive: true, mode: 0o755 })
  await Promise.all([
    makeKey(keys.identityFile, 'gantry-lab-console'),
    ...Object.keys(ports).map((machine) => makeKey(keys.hostKeyFile(machine), `gantry-lab-${machine}`)),
  ])
  copyFileSync(`${keys.identityFile}.pub`, keys.authorizedKeysFile)
  const known = Object.entries(ports).map(([machine, port]) => {
    const [type, key] = readFileSync(`${keys.hostKeyFile(machine)}.pub`, 'utf8').split(' ')
    return `[127.0.0.1]:${port} ${type} ${key}\n`
  })
  writeFileSync(keys.knownHostsFile, known.join(''))
  return keys
}

export const sshdConfig = (keys: LabKeys, machine: string, port: number): string => `
Port ${port}
ListenAddress 127.0.0.1
HostKey ${keys.hostKeyFile(machine)}
PidFile /run/lab-sshd.pid
AuthorizedKeysFile /run/lab-authorized_keys
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
`

/** Runs shell text over OpenSSH's own client, independent of the console's SSH code. */
export async function runOverSsh(
  keys: LabKeys,
  port: number,
  script: string,
  options: ExecOptions & { readonly user?: string } = {},
): Promise<ExecResult> {
  const settings = {
    IdentityFile: keys.identityFile,
    IdentitiesOnly: 'yes',
    UserKnownHostsFile: keys.knownHostsFile,
    GlobalKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: 'yes',
    BatchMode: 'yes',
    ConnectTimeout: '10',
    LogLevel: 'ERROR',
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const { user = 'root', ...rest } = options
  return exec('ssh', ['-F', 'none', ...flags, '-p', String(port), `${user}@127.0.0.1`, script], rest)
}
