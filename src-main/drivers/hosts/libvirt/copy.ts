import { createHash } from 'node:crypto'
import { AppError } from '#shared/errors/app-error.ts'
import { lines, sh } from '#main/transports/shell/script.ts'
import type { UnitFiles } from '../contract.ts'
import { exit } from './exit-codes.ts'
import { checkFileName, lunScript } from './lun-frame.ts'
import { longWorkMs } from './lun-runner.ts'
import type { LunRunner } from './lun-runner.ts'
import { createProgressReader } from './progress-lines.ts'
import { deviceFunctions } from './unit-device.ts'

/** `write_failed WORDS FILE`: removes the file; says if the file system is full (less than 1 MiB left) or what it was. */
export const writeFailed = sh`write_failed() {
  left=$(($(stat -f -c '%a * %S' "$mnt" || echo 1048576)))
  rm -f -- "$2" || true # a file system that lost writes may have become read-only
  [ "$left" -ge 1048576 ] || fail ${exit.full} "$1 ($left bytes free)"
  fail ${exit.writeFailed} "$1"
}`

/*
 * Arguments: SOURCE NAME SOURCE NAME ... The size of a file that is being written is how far cp has come, also in
 * a file with holes. The reporting process keeps no descriptor that the caller waits for.
 */
const copyFunctions = sh`check_sources() {
  total=0
  while [ $# -gt 0 ]; do
    [ -f "$1" ] && [ -r "$1" ] || fail ${exit.noSource} "$1"
    total=$((total + $(stat -Lc %s -- "$1")))
    shift 2
  done
  echo "total $total"
}
progress() {
  while [ $# -gt 0 ]; do stat -c %s -- "$mnt/$2" 2>/dev/null || true; shift 2; done |
    awk '{ sum += $1 } END { printf "bytes %.0f\\n", sum }'
}
report() { while sleep 0.5 >/dev/null 2>&1; do progress "$@"; done; }
copy() {
  while [ $# -gt 0 ]; do
    words=$(cp -LT --sparse=always -- "$1" "$mnt/$2" 2>&1) || write_failed "$words" "$mnt/$2"
    shift 2
  done
}`

export function createCopies(runner: LunRunner): Pick<UnitFiles, 'copyFiles' | 'receiveFile'> {
  const { config } = runner
  const functions = [...deviceFunctions, writeFailed]
  return {
    copyFiles(lun, files) {
      for (const { name } of files) checkFileName(name)
      const body = lines(
        copyFunctions,
        sh`set -- ${files.flatMap(({ source, name }) => [source, name])}
lock
need_mounted
check_sources "$@"
for name in ${files.map(({ name }) => name)}; do rm -f -- "$mnt/$name"; done
report "$@" 9>&- &
reporter=$!
trap 'kill "$reporter" 2>/dev/null || true' EXIT
copy "$@"
progress "$@"`,
      )
      const script = lunScript(config, lun, functions, body)
      return {
        commands: [script],
        run: async ({ signal, report }) => {
          const { feed } = createProgressReader(report)
          await runner.run(lun, script, signal, { tethered: true, onStdout: feed, timeoutMs: longWorkMs })
        },
      }
    },

    receiveFile(lun, name, sizeBytes, content) {
      checkFileName(name)
      // at the end of the input dd sets the size, also after a hole: it is the number of bytes that came
      const body = sh`name=${name}
lock
need_mounted
words=$(dd of="$mnt/$name" bs=64K iflag=fullblock conv=sparse status=none 2>&1) || write_failed "$words" "$mnt/$name"
size=$(stat -c %s -- "$mnt/$name")
[ "$size" -eq ${sizeBytes} ] || {
  rm -f -- "$mnt/$name"
  fail ${exit.wrongLength} "$size bytes came, ${sizeBytes} were announced"
}`
      const script = lunScript(config, lun, functions, body)
      return {
        commands: [script],
        run: async ({ signal, report }) => {
          const hash = createHash('sha256')
          let bytes = 0
          let failure: { readonly error: unknown } | undefined
          /*
           * The host decides by the length, so a source that fails ends the stream early and one that is too long
           * sends more than was announced, but not for ever.
           */
          async function* counted(): AsyncGenerator<Uint8Array> {
            try {
              for await (const chunk of content(signal)) {
                hash.update(chunk)
                bytes += chunk.length
                yield chunk
                report?.({ bytes: Math.min(bytes, sizeBytes), totalBytes: sizeBytes })
                if (bytes > sizeBytes) return
              }
            } catch (error) {
              failure = { error }
            }
          }
          try {
            await runner.run(lun, script, signal, { stdin: counted(), timeoutMs: longWorkMs })
          } catch (error) {
            throw failure === undefined ? error : failure.error
          }
          // all of it came, and its source says that it is not what it should be
          if (failure !== undefined) throw failure.error
          if (bytes !== sizeBytes)
            throw new AppError('bad-request', `The content of ${name} could not be read to its end`, {
              object: `LUN ${lun.name} on host ${config.name}`,
              effect: 'done',
            })
          return { name, sizeBytes, sha256: hash.digest('hex') }
        },
      }
    },
  }
}
