import { AppError } from '#shared/errors/app-error.ts'
import { lines, sh } from '#main/transports/shell/script.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import type { FileChecksum, UnitFiles } from '../contract.ts'
import { exit, runScript } from './exit-codes.ts'
import { failFunction } from './lun-frame.ts'
import { longWorkMs } from './lun-runner.ts'
import { createProgressReader } from './progress-lines.ts'

/*
 * One file: INDEX PATH. What was written must be clean before its pages can be dropped, hence sync; then dd with
 * nocache and count=0 drops the file's pages. ntfs-3g reads through the cache of the block device, so that goes too.
 * Direct reads instead would lose the read-ahead: they and the hashing would take turns.
 */
const hashOne = sh`set -eu
sync "$2"
dd if="$2" iflag=nocache count=0 status=none
type=$(findmnt -rno FSTYPE -T "$2" || true)
[ "$type" != fuseblk ] || blockdev --flushbufs "$(findmnt -rno SOURCE -T "$2")"
size=$(stat -Lc %s -- "$2")
if command -v openssl >/dev/null; then sum=$(openssl dgst -sha256 -r <"$2"); else sum=$(sha256sum <"$2"); fi
echo "$1 $size \${sum%% *}"`

/** Checksums of files of the host; two files at a time. */
export function createHashing(hostName: string, shell: Shell): Pick<UnitFiles, 'hashFiles'> {
  return {
    hashFiles(files) {
      const pairs = files.flatMap(({ path }, index) => [index, path])
      const script = lines(
        sh`set -eu`,
        failFunction,
        sh`set -- ${pairs}
check_sources() {
  while [ $# -gt 0 ]; do [ -f "$2" ] && [ -r "$2" ] || fail ${exit.noSource} "$2"; shift 2; done
}
check_sources "$@"
[ $# -eq 0 ] || printf '%s\\0' "$@" | xargs -0 -n 2 -P 2 sh -c ${hashOne} hash || fail ${exit.readFailed} 'checksums'`,
      )
      return {
        commands: [script],
        run: async ({ signal }) => {
          const { feed, otherLines } = createProgressReader(undefined)
          const options = { signal, tethered: true, onStdout: feed, timeoutMs: longWorkMs }
          await runScript(shell, `host ${hostName}`, script, options)
          const found = new Map<number, Omit<FileChecksum, 'name'>>()
          for (const line of otherLines) {
            const match = /^(\d+) (\d+) ([0-9a-f]{64})$/.exec(line)
            if (match?.[3] !== undefined)
              found.set(Number(match[1]), { sizeBytes: Number(match[2]), sha256: match[3] })
          }
          return files.map(({ name, path }, index) => {
            const checksum = found.get(index)
            if (checksum === undefined)
              throw new AppError('device-rejected', `The host gave no checksum of ${path}`, {
                object: `host ${hostName}`,
                facts: { 'the host says': otherLines.join('\n') },
              })
            return { name, ...checksum }
          })
        },
      }
    },
  }
}
