import { mkfsArguments } from '#shared/domain/file-system-options.ts'
import type { FileSystemType } from '#shared/domain/storage.ts'
import {
  dataFirstLba,
  headerPartitionBytes,
  headerPartitionFirstLba,
  headerPartitionMbrType,
  headerPartitionName,
  headerPartitionSectors,
  unitPartitionTypes,
} from '#shared/domain/unit-layout.ts'
import { MiB } from '#shared/units/bytes.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { lines, sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { stdoutText, type RunResult } from '#main/transports/shell/shell.ts'
import type { PreparedUnit, PrepareUnit, UnitFiles } from '../contract.ts'
import { initiatorNames } from './attach.ts'
import { openIscsiIdentity } from './attach-open-iscsi.ts'
import { userSpaceIdentity } from './attach-user-space.ts'
import { chapFunctions } from './chap.ts'
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

const headerType = { gpt: unitPartitionTypes.header, mbr: headerPartitionMbrType.toString(16) } as const
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
    `1 : start=${headerPartitionFirstLba}, size=${headerPartitionSectors}, type=${headerType[table]}${name(headerPartitionName)}`,
    `2 : start=${dataFirstLba}, type=${data}${name('gantry-data')}`,
    '',
  ].join('\n')
}

const makeFileSystem: Record<FileSystemType, (spec: PrepareUnit) => ShellScript> = {
  ext4: ({ fileSystemUuid, label }) =>
    sh`mkfs.ext4 ${mkfsArguments('ext4')} -U ${fileSystemUuid} -L ${label.slice(0, 16)} "$node"`,
  xfs: ({ fileSystemUuid, label }) =>
    sh`mkfs.xfs ${mkfsArguments('xfs')} -m ${`uuid=${fileSystemUuid}`} -L ${label.slice(0, 12)} "$node"`,
  ntfs: ({ fileSystemUuid, label }) => sh`mkntfs ${mkfsArguments('ntfs')} -L ${label.slice(0, 32)} "$node"
ntfslabel ${`--new-serial=${fileSystemUuid.replaceAll('-', '').slice(0, 16)}`} "$node" >/dev/null`,
}
/** mkfs.xfs refuses less than 300 MiB; known before, the refusal leaves the LUN empty. */
const minimumBytes: Record<FileSystemType, number> = { ext4: 0, xfs: dataFirstLba * 512 + 301 * MiB, ntfs: 0 }
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

export function createPreparation(runner: LunRunner): Pick<UnitFiles, 'prepareUnit' | 'writeHeader'> {
  const { config } = runner
  return {
    prepareUnit(spec) {
      const functions = [
        chapFunctions(spec.login),
        ...deviceFunctions,
        deviceUsers,
        userSpaceIdentity,
        openIscsiIdentity,
      ]
      const body = lines(initiatorNames(config), prepareBody(spec))
      const finish = (result: RunResult): PreparedUnit => {
        const found = /^uuid=(\S+)\nbytes=(\d+)$/m.exec(stdoutText(result))
        if (found?.[1] === undefined)
          throw new AppError('device-rejected', 'The new file system cannot be found on the LUN', {
            object: `LUN ${spec.lun.name} on host ${config.name}`,
            effect: 'done',
            facts: { 'the host says': stdoutText(result) },
          })
        return { fileSystemUuid: found[1], fileSystemBytes: Number(found[2]) }
      }
      return runner.action(spec.lun, lunScript(config, spec.lun, functions, body), finish, spec.login)
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
