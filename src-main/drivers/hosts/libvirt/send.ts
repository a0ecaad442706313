import { createHash } from 'node:crypto'
import { AppError } from '#shared/errors/app-error.ts'
import { quote, sh } from '#main/transports/shell/script.ts'
import type { RemoteFiles } from '#main/transports/shell/files.ts'
import type { UnitFiles } from '../contract.ts'
import { exit } from './exit-codes.ts'
import { checkFileName, lunScript, mountPoint } from './lun-frame.ts'
import { longWorkMs } from './lun-runner.ts'
import type { LunRunner } from './lun-runner.ts'
import { deviceFunctions } from './unit-device.ts'

/** Over the host's file service; by a command where it has none, or where only that runs as root (sudo). */
export function createSending(
  runner: LunRunner,
  files: RemoteFiles | undefined,
): Pick<UnitFiles, 'sendFile'> {
  const { config } = runner
  return {
    sendFile(lun, name, sizeBytes, accept) {
      checkFileName(name)
      const path = `${mountPoint(config, lun)}/${name}`
      const object = `${name} on LUN ${lun.name} on host ${config.name}`
      const body = sh`name=${name}
need_mounted
[ -f "$mnt/$name" ] && [ -r "$mnt/$name" ] || fail ${exit.noSource} "$mnt/$name"
exec cat -- "$mnt/$name"`
      const script = lunScript(config, lun, deviceFunctions, body)
      return {
        commands: files === undefined ? [script] : [`sftp> get ${quote(path)}`, `# without SFTP:\n${script}`],
        run: async ({ signal, report }) => {
          const hash = createHash('sha256')
          let bytes = 0
          let refusal: { readonly error: unknown } | undefined
          const take = async (chunk: Uint8Array): Promise<void> => {
            hash.update(chunk)
            bytes += chunk.length
            try {
              await accept(chunk)
            } catch (error) {
              refusal = { error }
              throw error
            }
            report?.({ bytes: Math.min(bytes, sizeBytes), totalBytes: sizeBytes })
          }
          const byCommand = async (): Promise<void> => {
            await runner.run(lun, script, signal, { tethered: true, onStdout: take, timeoutMs: longWorkMs })
          }
          try {
            if (files === undefined) await byCommand()
            else
              await files.read(path, { signal, accept: take }).catch(async (error: unknown) => {
                if (bytes > 0 || !(error instanceof AppError) || error.code !== 'not-supported') throw error
                await byCommand()
              })
          } catch (error) {
            throw refusal === undefined ? error : refusal.error
          }
          if (bytes !== sizeBytes)
            throw new AppError('stale', `${name} has ${bytes} bytes, not ${sizeBytes}`, { object })
          return { name, sizeBytes, sha256: hash.digest('hex') }
        },
      }
    },
  }
}
