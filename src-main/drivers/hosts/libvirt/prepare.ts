import type { FileSystemType } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { lines, raw, sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import type { HostDriver, PrepareUnit } from '../contract.ts'
import { initiatorNames } from './attach.ts'
import { openIscsiIdentity } from './attach-open-iscsi.ts'
import { userSpaceIdentity } from './attach-user-space.ts'
import { exit } from './exit-codes.ts'
import { lunScript } from './lun-frame.ts'
import type { LunRunner } from './lun-runner.ts'
import { deviceFunctions, deviceUsers } from './unit-device.ts'

/*
 * The guard of A10: whatever calls this, a device that bears anything is left as it is. A read that fails is not a
 * device without a header, hence the exact comparison; wipefs also sees a backup GPT and signatures that blkid
 * finds ambiguous.
 */
const guard = sh`found=$(users)
[ -z "$found" ] || fail ${exit.inUse} "$found"
blockdev --flushbufs "$device"
for block in 256 384; do # 1 MiB and 1.5 MiB: the two copies of a unit header
  bytes=$(dd if="$device" bs=4096 skip=$block count=1 iflag=direct status=none | head -c 8 | od -An -tx1 | tr -d ' \\n')
  case $bytes in
  47414e5452595531) fail ${exit.notEmpty} "$device bears the header of a unit" ;;
  ????????????????) ;;
  *) fail ${exit.readFailed} "$device" ;;
  esac
done
found=$(wipefs --noheadings --output TYPE,OFFSET "$device")
[ -z "$found" ] || fail ${exit.notEmpty} "$device bears signatures: $found"
update_partitions
found=$(partitions)
[ -z "$found" ] || fail ${exit.notEmpty} "$device has partitions: $found"`

const sectorsOf = { header: 2048, first: 4096 } as const
const headerType = { gpt: 'afa682cc-4018-451c-93e5-75e1c647da01', mbr: 'da' } as const
const linuxType = { gpt: '0fc63daf-8483-4772-8e79-3d69d8477de4', mbr: '83' } as const
const microsoftType = { gpt: 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7', mbr: '7' } as const

/** Input for sfdisk. The disk's own identifier comes from the unit id, so that it is known before. */
function partitionTable({ partitionTable: table, fileSystem, unitId }: PrepareUnit): string {
  const data = (fileSystem === 'ntfs' ? microsoftType : linuxType)[table]
  const label =
    table === 'gpt'
      ? ['label: gpt', `label-id: ${unitId}`]
      : ['label: dos', `label-id: 0x${unitId.slice(0, 8)}`]
  const name = (text: string): string => (table === 'gpt' ? `, name="${text}"` : '')
  return [
    ...label,
    'unit: sectors',
    `1 : start=${sectorsOf.first - sectorsOf.header}, size=${sectorsOf.header}, type=${headerType[table]}${name('gantry-header')}`,
    `2 : start=${sectorsOf.first}, type=${data}${name('gantry-data')}`,
    '',
  ].join('\n')
}

/*
 * Never with an option that overrides what mkfs objects to. No discard: the LUN is empty. ext4 gets few inodes and a
 * small journal, for a few large files in a container with little room; its tables are written now, not by the kernel
 * after each mount, which would dirty every clone.
 */
const makeFileSystem: Record<FileSystemType, (spec: PrepareUnit) => ShellScript> = {
  ext4: ({ fileSystemUuid, label }) => sh`journal=$((size / 268435456))
[ "$journal" -ge 4 ] || journal=4
[ "$journal" -le 128 ] || journal=128
mkfs.ext4 -q -m 0 -i 4194304 -J "size=$journal" -E lazy_itable_init=0,lazy_journal_init=1,nodiscard \\
  -U ${fileSystemUuid} -L ${label.slice(0, 16)} "$node"`,
  xfs: ({ fileSystemUuid, label }) =>
    sh`mkfs.xfs -q -K -m reflink=1,uuid=${raw(sh`${fileSystemUuid}`)} -L ${label.slice(0, 12)} "$node"`,
  ntfs: ({
    fileSystemUuid,
    label,
  }) => sh`mkntfs -q -Q -p ${sectorsOf.first} -H 255 -S 63 -L ${label.slice(0, 32)} "$node"
ntfslabel --new-serial=${raw(sh`${fileSystemUuid.replaceAll('-', '').slice(0, 16)}`)} "$node" >/dev/null`,
}
const minimumBytes: Record<FileSystemType, number> = { ext4: 16 << 20, xfs: 303 << 20, ntfs: 16 << 20 }
/** Sectors are counted with 32 bits in an MBR. */
const mbrBytes = 2 ** 41

function prepareBody(spec: PrepareUnit): ShellScript {
  const { fileSystem } = spec
  return lines(
    sh`lock
need_device
case $device in /dev/loop*) verify_user_space ;; *) verify_open_iscsi ;; esac`,
    guard,
    sh`size=$(blockdev --getsize64 "$device")
[ "$size" -ge ${minimumBytes[fileSystem]} ] || fail ${exit.wrongSize} "$size bytes, ${fileSystem} needs ${minimumBytes[fileSystem]}"`,
    spec.partitionTable === 'mbr'
      ? sh`[ "$size" -le ${mbrBytes} ] || fail ${exit.wrongSize} "an MBR cannot describe $size bytes"`
      : sh``,
    // udev lets a device alone while it is locked: it would take the partitions away to read the table again
    sh`exec 8<"$device"
flock -w 30 8 || fail ${exit.inUse} "$device is locked"
printf %s ${partitionTable(spec)} | sfdisk -q --no-reread --no-tell-kernel "$device" 8<&- >&2
update_partitions
partition_there() { [ -n "$(partition 2)" ]; }
wait_for 10 partition_there || fail ${exit.notInTime} "$device has no partition 2"
node=$(partition 2)`,
    makeFileSystem[fileSystem](spec),
    sh`sync "$node" "$device"
exec 8<&-
settle
echo "uuid=$(blkid -p -s UUID -o value "$node")"
echo "bytes=$(blockdev --getsize64 "$node")"`,
  )
}

/*
 * The bytes are complete on the host before the partition is touched: a cut connection leaves no torn header. The
 * second copy of the header (at 512 KiB) is durable before the first one is overwritten, so one of them is whole at any time.
 */
const headerBody = (length: number): ShellScript => sh`lock
need_device
cat >"$dir/header.new"
[ "$(stat -c %s "$dir/header.new")" -eq ${length} ] || { rm -f "$dir/header.new"; fail ${exit.wrongLength} 'header'; }
node=$(partition 1)
[ -n "$node" ] || fail ${exit.notHeader} "$device has no partition 1"
case $(sfdisk --part-type "$device" 1 | tr A-F a-f) in
${headerType.gpt}) ;;
${headerType.mbr}) # any program's own data has this type: the content must be ours or nothing
  case $(dd if="$node" bs=4096 count=1 iflag=direct status=none | head -c 8 | od -An -tx1 | tr -d ' \\n') in
  47414e5452595531 | 0000000000000000) ;;
  *) fail ${exit.notHeader} "$node bears something else" ;;
  esac ;;
*) fail ${exit.notHeader} "$node has another type" ;;
esac
dd if="$dir/header.new" of="$node" bs=512K skip=1 seek=1 conv=notrunc,fsync status=none
dd if="$dir/header.new" of="$node" bs=512K count=1 conv=notrunc,fsync status=none
dd if="$node" bs=1M count=1 iflag=direct status=none | head -c ${length} | cmp - "$dir/header.new" >&2 || fail ${exit.differs} "$node"
rm -f "$dir/header.new"`

const headerPartitionBytes = sectorsOf.header * 512

export function createPreparation(runner: LunRunner): Pick<HostDriver, 'prepareUnit' | 'writeHeader'> {
  const { config } = runner
  return {
    prepareUnit(spec) {
      const functions = [...deviceFunctions, deviceUsers, userSpaceIdentity, openIscsiIdentity]
      const body = lines(initiatorNames(config), prepareBody(spec))
      return runner.action(spec.lun, lunScript(config, spec.lun, functions, body), (result) => {
        const found = /^uuid=(\S+)\nbytes=(\d+)$/m.exec(stdoutText(result))
        if (found?.[1] === undefined)
          throw new AppError('device-rejected', 'The new file system cannot be found on the LUN', {
            object: `LUN ${spec.lun.name} on host ${config.name}`,
            effect: 'done',
            facts: { 'the host says': stdoutText(result) },
          })
        return { fileSystemUuid: found[1], fileSystemBytes: Number(found[2]) }
      })
    },

    writeHeader(lun, bytes) {
      if (bytes.length === 0 || bytes.length > headerPartitionBytes)
        throw new AppError('bad-request', `A header of ${bytes.length} bytes does not fit its partition`)
      const script = lunScript(config, lun, deviceFunctions, headerBody(bytes.length))
      return {
        commands: [script],
        run: async ({ signal }) => {
          await runner.run(lun, script, signal, { stdin: bytes })
        },
      }
    },
  }
}
