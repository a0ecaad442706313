import type { ImageFormat } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { sh } from '#main/transports/shell/script.ts'
import type { UnitFiles } from '../contract.ts'
import { writeFailed } from './copy.ts'
import { exit } from './exit-codes.ts'
import { checkFileName, lunScript } from './lun-frame.ts'
import { longWorkMs } from './lun-runner.ts'
import type { LunRunner } from './lun-runner.ts'
import { deviceFunctions } from './unit-device.ts'

/** QEMU's names of the formats. */
const qemuFormats: Record<ImageFormat, string> = {
  raw: 'raw',
  qcow2: 'qcow2',
  vhd: 'vpc',
  vhdx: 'vhdx',
  vmdk: 'vmdk',
}

export function createConversion(runner: LunRunner): Pick<UnitFiles, 'convertImage'> {
  const { config } = runner
  return {
    convertImage(lun, from, toName) {
      checkFileName(from.name)
      checkFileName(toName)
      if (from.name === toName)
        throw new AppError('bad-request', `${toName} cannot be converted onto itself`, {
          object: `LUN ${lun.name} on host ${config.name}`,
        })
      /*
       * The result appears under its name only when it is complete and durable, and the original goes only then; so
       * a run that was cut off can be repeated at any point. The format is given, never guessed from the content, and
       * an image that refers to another file of the host is refused: it would bring that file's content along.
       */
      const format = qemuFormats[from.format]
      const body = sh`from=$mnt/${from.name} to=$mnt/${toName}
lock
need_mounted
if [ ! -e "$from" ] && [ -f "$to" ]; then exit 0; fi
[ -f "$from" ] || fail ${exit.noSource} "$from"
words=$(qemu-img info -f ${format} --output=json "$from" 2>&1) || fail ${exit.badImage} "$words"
case $words in *'"backing-filename"'*) fail ${exit.badImage} 'it is based on another image, which it needs' ;; esac
rm -f "$to.part"
words=$(qemu-img convert -f ${format} -O qcow2 "$from" "$to.part" 2>&1) || write_failed "$words" "$to.part"
words=$(sync "$to.part" 2>&1) || fail ${exit.writeLost} "$words"
mv "$to.part" "$to"
sync "$mnt"
rm "$from"`
      const script = lunScript(config, lun, [...deviceFunctions, writeFailed], body)
      return {
        commands: [script],
        run: async ({ signal }) => {
          await runner.run(lun, script, signal, { tethered: true, timeoutMs: longWorkMs })
        },
      }
    },
  }
}
