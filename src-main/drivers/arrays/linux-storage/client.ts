import type { LinuxStorageConfig, ObjectRef } from '#shared/domain/storage.ts'
import { lines, raw, sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import type { ByteRange } from '../contract.ts'
import { extensions, folderOf, folders, markExtension, objectPath, volumePath } from '../layout.ts'
import { refuseFunction, refusals } from './errors.ts'
import type { TargetServer } from './target-server.ts'

/**
 * The requests about objects and volumes, as scripts. A mark is a symbolic link whose text names the job: it is made
 * whole or not at all, by one console alone, and the journal of the file system, which keeps the order of changes to
 * directories, makes it never younger than its object.
 */
export interface StorageClient {
  createObject(ref: ObjectRef, sizeBytes: number, mark: string): ShellScript
  copyObject(from: ObjectRef, to: ObjectRef, mark: string): ShellScript
  deleteObject(ref: ObjectRef, mark: string): ShellScript
  /** Prints lines for parse-objects.ts. */
  listObjects(volume: string): ShellScript
  findObject(ref: ObjectRef): ShellScript
  /** Prints a line with the object's size, then the bytes of the ranges. */
  readObject(ref: ObjectRef, ranges: readonly ByteRange[]): ShellScript
  hashObject(ref: ObjectRef): ShellScript
  /** Prints lines for parse-volumes.ts. */
  listVolumes(): ShellScript
  /** Prints lines for parse-probe.ts; ends with 0 also when checks fail. */
  probe(): ShellScript
}

export function createStorageClient(config: LinuxStorageConfig, targets: TargetServer): StorageClient {
  const enter = (volume: string): ShellScript => {
    const path = volumePath(config, volume)
    return lines(
      sh`set -eu`,
      refuseFunction,
      // what may not be seen is not what is not there
      sh`[ -d ${path} ] || case $(ls -d ${path}/. 2>&1) in
*'Permission denied'*) refuse 1 ${`${path}: Permission denied`} ;;
*) refuse ${refusals.noVolume} ${`${path} is no directory`} ;;
esac`,
      sh`cd ${path}`,
    )
  }
  const existing = (ref: ObjectRef): ShellScript =>
    lines(
      enter(ref.volume),
      sh`[ -f ${objectPath(ref)} ] || refuse ${refusals.notFound} ${`${objectPath(ref)} is not there`}`,
    )
  const volumes = Object.keys(config.settings.volumes).map((name) => ({
    name,
    path: volumePath(config, name),
  }))

  return {
    createObject: (ref, sizeBytes, mark) =>
      lines(
        enter(ref.volume),
        make(
          ref,
          mark,
          sh`[ "$(stat -c %s "$object")" = ${sizeBytes} ]`,
          sh`truncate -s ${sizeBytes} "$object"`,
        ),
      ),

    copyObject: (from, to, mark) =>
      lines(
        existing(from),
        make(
          to,
          mark,
          sh`[ "$(stat -c %s "$object")" = "$(stat -c %s ${objectPath(from)})" ]`,
          sh`cp --reflink=always -- ${objectPath(from)} "$object"`,
        ),
      ),

    deleteObject: (ref, mark) =>
      lines(
        enter(ref.volume),
        targets.functions,
        sh`object=${objectPath(ref)}`,
        readMark,
        sh`[ "$holder" = ${`job=${mark}`} ] || exit 0`,
        sh`lock_luns`,
        sh`backings=$(list_backings)`,
        sh`while IFS= read -r path; do
  if [ "$path" -ef "$object" ]; then refuse ${refusals.backsLun} "a LUN is made from $path"; fi
done <<END
$backings
END`,
        // in this order: the mark stays as long as there is something that it is about
        sh`rm -f -- "$object" "$object"${markExtension}`,
        sh`sync ${folderOf(ref)}`,
      ),

    listObjects: (volume) =>
      lines(
        enter(volume),
        sh`set --`,
        sh`for folder in ${folders}; do [ ! -d "$folder" ] || set -- "$@" "$folder"; done`,
        sh`[ $# -gt 0 ] || exit 0`,
        describeFiles(extensions.map((extension) => `*${extension}`)),
        sharedExtents(extensions.map((extension) => `*${extension}`)),
      ),

    findObject: (ref) =>
      lines(
        enter(ref.volume),
        sh`[ -d ${folderOf(ref)} ] || exit 0`,
        sh`set -- ${folderOf(ref)}`,
        describeFiles([objectPath(ref).slice(folderOf(ref).length + 1)]),
      ),

    readObject: (ref, ranges) =>
      lines(
        existing(ref),
        sh`stat -c %s ${objectPath(ref)}`,
        ...ranges.map(
          ({ offset, lengthBytes }) =>
            sh`dd if=${objectPath(ref)} bs=1M iflag=skip_bytes,count_bytes,fullblock skip=${offset} count=${lengthBytes} status=none`,
        ),
      ),

    // openssl uses the SHA instructions of the processor, which sha256sum of coreutils 9.1 does not.
    hashObject: (ref) =>
      lines(
        existing(ref),
        sh`if command -v openssl >/dev/null; then exec openssl dgst -sha256 -r ${objectPath(ref)}; fi`,
        sh`exec sha256sum ${objectPath(ref)}`,
      ),

    listVolumes: () =>
      lines(
        sh`set -eu`,
        refuseFunction,
        targets.functions,
        saysReflink,
        sh`backings=$(list_backings)`,
        sh`measure() {
  [ -d "$2" ] || refuse ${refusals.noVolume} "$2 is no directory"
  real=$(realpath "$2") count=0
  while IFS= read -r path; do
    case $path in "$real"/*) count=$((count + 1)) ;; esac
  done <<END
$backings
END
  if says_reflink "$2" >/dev/null 2>&1; then reflink=yes; else reflink=no; fi
  printf 'volume %s %s %s %s\\n' "$1" "$count" "$reflink" "$(df -B1 --output=fstype,size,used,avail -- "$2" | tail -n 1)"
}`,
        ...volumes.map(({ name, path }) => sh`measure ${name} ${path}`),
      ),

    probe: () =>
      lines(
        refuseFunction,
        canReflink,
        sh`check() {
  name=$1
  shift
  if detail=$("$@" 2>&1); then state=ok; else state=bad; fi
  printf 'check\\t%s\\t%s\\t%s\\n' "$name" "$state" "$(printf '%s' "$detail" | tr '\\n\\t' '  ')"
}
is_root() { id -un; [ "$(id -u)" -eq 0 ]; }
is_volume() { [ -d "$1" ] && df -h --output=fstype,avail,target -- "$1" | tail -n 1; }
has_hash() { command -v openssl || command -v sha256sum; }`,
        sh`printf 'serial\\t%s\\n' "$(cat /etc/machine-id 2>/dev/null || uname -n)"`,
        sh`check root is_root`,
        sh`for tool in flock awk xargs realpath; do check "$tool" command -v "$tool"; done`,
        sh`check hash has_hash`,
        sh`check filefrag command -v filefrag`,
        targets.probe,
        ...volumes.map(({ name, path }) =>
          lines(
            sh`check ${`volume ${name}`} is_volume ${path}`,
            sh`check ${`reflink ${name}`} can_reflink ${path}`,
          ),
        ),
        sh`exit 0`,
      ),
  }
}

/** Sets holder: `job=ID` of the job whose mark is on $object; empty when there is none. */
const readMark = lines(
  sh`holder=`,
  sh`[ ! -L "$object"${markExtension} ] || holder=$(readlink "$object"${markExtension})`,
)

/**
 * Marks the name, then makes the object: `fill` fills the empty file $object, `isWhole` tells whether one that is there
 * is whole. A mark of the same job is from a run that was cut off: that run is brought to its end. What a failed run
 * has made, it removes. Snapshots are read-only from the beginning.
 */
function make(ref: ObjectRef, mark: string, isWhole: ShellScript, fill: ShellScript): ShellScript {
  const taken = (words: ShellScript): ShellScript => sh`refuse ${refusals.taken} ${raw(words)}`
  return lines(
    // all three at once: a volume that has been used looks the same before a deployment and after it
    sh`for folder in ${folders}; do [ -d "$folder" ] || (umask 077 && mkdir -p "$folder"); done`,
    sh`object=${objectPath(ref)} marked= made=`,
    readMark,
    sh`[ -z "$holder" ] || [ "$holder" = ${`job=${mark}`} ] || ${raw(taken(sh`"job \${holder#job=} has made $object"`))}`,
    sh`if [ -e "$object" ]; then
  [ -n "$holder" ] || ${raw(taken(sh`"$object is there and bears no mark"`))}
  if ${raw(isWhole)}; then
    sync "$object" ${folderOf(ref)}
    exit 0
  fi
  [ ! -s "$object" ] || ${raw(taken(sh`'it has another size'`))}
fi`,
    sh`clean_up() {
  [ -z "$made" ] || rm -f -- "$object"
  [ -z "$marked" ] || rm -f -- "$object"${markExtension}
}`,
    sh`trap clean_up EXIT`,
    sh`trap 'exit 1' HUP INT TERM`,
    sh`if [ -z "$holder" ]; then
  ln -s -- ${`job=${mark}`} "$object"${markExtension} ||
    { [ ! -L "$object"${markExtension} ] || ${raw(taken(sh`"$object is there"`))}; exit 1; }
  marked=yes
fi`,
    // noclobber makes it exclusive; not with ":", whose failed redirection would end the script
    sh`if [ ! -e "$object" ]; then
  umask ${ref.kind === 'snapshot' ? '222' : '077'}
  set -C
  true >"$object" || { [ ! -e "$object" ] || ${raw(taken(sh`"$object is there"`))}; exit 1; }
  made=yes
fi`,
    fill,
    sh`sync "$object" ${folderOf(ref)}`,
    sh`marked= made=`,
  )
}

const named = (patterns: readonly string[]): ShellScript =>
  lines(
    sh`\\( -name ${patterns[0] ?? ''}`,
    ...patterns.slice(1).map((name) => sh`-o -name ${name}`),
    sh`\\)`,
  ).replaceAll('\n', ' ') as ShellScript

/**
 * Prints of the files in the folders $@ that have these names: `file SIZE BLOCKS PATH` (blocks of 512 bytes), and of
 * their marks `mark PATH:job=JOB`.
 */
const describeFiles = (names: readonly string[]): ShellScript => {
  const marks = named(names.map((name) => `${name}${markExtension}`))
  // -ignore_readdir_race: an object that another console deletes meanwhile is no error
  return sh`find "$@" -maxdepth 1 -ignore_readdir_race \\( -type f ${raw(named(names))} -printf 'file %s %b %p\\n' \\) -o \\( -type l ${raw(marks)} -printf 'mark %p:%l\\n' \\)`
}

/** Prints of the same files `unique BYTES PATH` where filefrag can tell which extents other files share. */
const sharedExtents = (names: readonly string[]): ShellScript =>
  lines(
    sh`command -v filefrag >/dev/null || exit 0`,
    sh`find "$@" -maxdepth 1 -ignore_readdir_race -type f ${raw(named(names))} -exec filefrag -v {} + 2>/dev/null | awk '
  /^File size of / { path = $4; block = $(NF - 1); unique = 0 }
  /^ *[0-9]+:/ && !/shared/ { split($0, field, ":"); unique += field[4] * block }
  /extents? found$/ { printf "unique %.0f %s\\n", unique, path }'`,
  )

/** `can_reflink FOLDER`: whether a file in it can share blocks, by trying it. */
const canReflink = sh`can_reflink() (
  probe=$1/.gantry-probe.$$
  trap 'rm -f -- "$probe" "$probe".copy' EXIT
  touch -- "$probe" && cp --reflink=always -- "$probe" "$probe".copy && echo 'files share blocks'
)`

/** `says_reflink FOLDER`: the same as its file system tells it. Writes nothing: plans and lists ask for it. */
const saysReflink = sh`says_reflink() {
  case $(df --output=fstype -- "$1" | tail -n 1) in
    btrfs) ;;
    xfs) xfs_info "$1" | grep -q reflink=1 ;;
    *) return 1 ;;
  esac
}`
