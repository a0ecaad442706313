import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { MiB } from '#shared/units/bytes.ts'
import { sh } from '#main/transports/shell/script.ts'
import { createSshPool } from '#main/transports/ssh/pool.ts'
import { startSshd, type Sshd } from '../lab/ssh/sshd.ts'
import { figure, print, ratios, seconds } from './figures.ts'

const fileBytes = 512 * MiB
const runs = 7

/** A file over SFTP, hashed as an export does it; by a command; and by OpenSSH's `scp`. */
export async function benchSsh(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'gantry-bench-'))
  const sshd = await startSshd({ lines: ['Subsystem sftp internal-sftp'] })
  const pool = createSshPool({
    dataDir: dir,
    homeDir: dir,
    env: {},
    secrets: { getSecret: () => Promise.resolve(undefined) },
  })
  try {
    const file = join(dir, 'file')
    for (let written = 0; written < fileBytes; written += MiB)
      writeFileSync(file, randomBytes(MiB), { flag: 'a' })
    const session = pool.session('bench', sshd.connection)
    const { signal } = new AbortController()
    await session.connect(signal)
    const times = { sftp: [] as number[], command: [] as number[], scp: [] as number[] }
    for (let run = 0; run < runs; run += 1) {
      process.stderr.write(`run ${run + 1} of ${runs}\n`)
      times.sftp.push(
        await seconds(() =>
          toFile(`${file}.sftp`, async (accept) => await session.files?.read(file, { signal, accept })),
        ),
      )
      times.scp.push(await seconds(() => scp(sshd, file, `${file}.scp`)))
      times.command.push(
        await seconds(() =>
          toFile(`${file}.cat`, (onStdout) =>
            session.run(sh`cat ${file}`, { signal, timeoutMs: 600_000, onStdout }),
          ),
        ),
      )
    }
    const rate = (name: string, took: readonly number[]): void =>
      print(
        figure(
          name,
          'MB/s',
          took.map((time) => fileBytes / 1e6 / time),
        ),
      )
    rate('ssh.sftpReadRate', times.sftp)
    rate('ssh.commandReadRate', times.command)
    rate('ssh.scpRate', times.scp)
    print(ratios('ssh.sftpReadToScp', times.scp, times.sftp))
  } finally {
    await pool.close()
    await sshd.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Written and hashed, as an export does it. */
async function toFile(
  path: string,
  read: (accept: (chunk: Uint8Array) => Promise<void>) => Promise<unknown>,
): Promise<void> {
  const hash = createHash('sha256')
  const handle = await open(path, 'w')
  await read(async (chunk) => {
    hash.update(chunk)
    await handle.write(chunk)
  })
  await handle.close()
  hash.digest('hex')
}

async function scp(sshd: Sshd, file: string, to: string): Promise<void> {
  const options = ['-q', '-F', 'none', '-P', String(sshd.port), '-i', sshd.clientKey]
  const known = ['-o', `UserKnownHostsFile=${sshd.knownHosts}`]
  const from = `${userInfo().username}@127.0.0.1:${file}`
  const child = spawn('scp', [...options, ...known, from, to], { stdio: 'inherit' })
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`scp ended with ${code}`)
}
