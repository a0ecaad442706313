import { lines, raw, sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { refuseFunction, refusals } from './errors.ts'
import { parseTgtLuns } from './parse-tgt.ts'
import type { LunRequest, TargetServer } from './target-server.ts'

/** Where tgtd keeps its control sockets; the directory serves as the lock, so that nothing is left behind. */
const socketFolder = '/var/run/tgtd'

/** Larger than tgtd's own 8,192: halves the time of writes of 512 KiB. */
const segmentBytes = 262_144

/**
 * The target client for tgt 1.0.85 (`tgtadm`, Debian 12). What tgtd does and we rely on: a target without any ACL
 * admits nobody; deleting a target without --force fails while a session exists and takes its LUNs along, while
 * deleting a LUN in use succeeds without a word, so the target is deleted and never the LUN; nothing outlives a
 * restart; all errors exit with 22, no daemon (or no root rights) with 107.
 */
export function createTgtTarget(controlPort: number): TargetServer {
  const functions = lines(
    // Only root may speak to tgtd; to anybody else it looks as if it were not there.
    sh`tgt() {
  tgtadm -C ${controlPort} --lld iscsi "$@" && return 0
  code=$?
  [ "$(id -u)" -eq 0 ] || refuse ${refusals.notRoot} 'tgtadm must run as root'
  return "$code"
}`,
    sh`lock_luns() {
  exec 9<${socketFolder}
  flock -w 30 9 || refuse ${refusals.locked} 'flock: no lock within 30 seconds'
}`,
    sh`backing_paths() { sed -n '/: None$/d; s/^ *Backing store path: //p'; }`,
    sh`list_backings() {
  state=$(tgt --op show --mode target) || return
  printf '%s\\n' "$state" | backing_paths | xargs -r -d '\\n' realpath -m --
}`,
  )
  const header = lines(sh`set -eu`, refuseFunction, functions)
  const change = lines(header, lookUp, sh`trap 'exit 1' HUP INT TERM`, sh`lock_luns`)

  const make = ({ identity, objectPath, volumePath, readOnly }: LunRequest, limit: number): ShellScript =>
    sh`make_lun ${identity.target} ${identity.serial} ${identity.naa} ${objectPath} ${volumePath} ${limit} ${readOnly ? 1 : 0}`

  return {
    functions,
    parseLuns: parseTgtLuns,

    showLuns: (target) =>
      lines(
        header,
        sh`state=$(tgt --op show --mode target)`,
        target === undefined
          ? sh`:`
          : sh`state=$(printf '%s\\n' "$state" | target=${target} awk '/^Target / { on = $3 == ENVIRON["target"] } on')`,
        sh`printf '%s\\n' "$state"`,
        // tgtd rounds sizes to megabytes. A file that is gone has no line.
        sh`printf '%s\\n' "$state" | backing_paths | xargs -r -d '\\n' stat -L -c 'size %s %n' -- 2>/dev/null || true`,
      ),

    createLun: (request, lunLimit, initiator) =>
      lines(
        change,
        makeLun,
        mapTo,
        sh`${raw(make(request, lunLimit))} ${initiator === undefined ? [] : [initiator]}`,
      ),

    mapLun: ({ target, serial }, initiator) =>
      lines(
        change,
        sh`look_up ${target}`,
        sh`[ -n "$tid" ] || refuse ${refusals.notFound} 'tgtd has no target of this name'`,
        sh`claim ${serial}`,
        sh`[ -z "$half_made" ] || refuse ${refusals.notFound} 'the LUN is half-made'`,
        mapTo,
        sh`map_lun ${initiator}`,
      ),

    unmapLun: ({ target, serial }, initiator) =>
      lines(
        change,
        sh`look_up ${target}`,
        sh`[ -n "$tid" ] || exit 0`,
        sh`claim ${serial}`,
        sh`case " $maps " in *${` ${initiator} `}*) ;; *) exit 0 ;; esac`,
        sh`tgt --op unbind --mode target --tid "$tid" --initiator-name ${initiator}`,
      ),

    deleteLun: ({ target, serial }) =>
      lines(
        change,
        sh`look_up ${target}`,
        sh`[ -n "$tid" ] || exit 0`,
        sh`claim ${serial}`,
        sh`[ -z "$sessions" ] || refuse ${refusals.hasSession} "logged in: $sessions"`,
        sh`tgt --op delete --mode target --tid "$tid"`,
        sh`[ ! -f "$backing" ] || sync "$backing"`,
      ),

    restoreLuns: (luns) =>
      lines(
        change,
        makeLun,
        mapTo,
        sh`failed=`,
        // Each in a shell of its own: a refusal ends that shell, and set -e holds in it.
        ...luns.map(({ request, initiators }) =>
          lines(
            sh`set +e; (set -e; ${raw(make(request, 0))} ${initiators})`,
            sh`[ $? -eq 0 ] || failed="$failed "${request.identity.name}`,
          ),
        ),
        sh`[ -z "$failed" ] || { echo "not restored:$failed" >&2; exit 1; }`,
      ),

    probe: lines(functions, probe(controlPort)),
  }
}

/**
 * `look_up TARGET` sets tid (empty: not there), sessions, maps, serial and backing (of LUN 1) of that target; of all,
 * free_tid and backings (a path under each LUN, one a line).
 * `claim SERIAL` refuses a target whose LUN is not ours. Half-made is a target whose making was cut off: without our
 * serial, and mapped to nobody; its name alone (with 96 random bits) makes it ours.
 */
const lookUp = sh`look_up() {
  state=$(tgt --op show --mode target)
  found=$(printf '%s\\n' "$state" | target=$1 awk '
    /^Target / { used[$2 + 0] = 1; on = $3 == ENVIRON["target"]; if (on) tid = $2 + 0 }
    /^            Backing store path: / {
      path = $0; sub(/^            Backing store path: /, "", path)
      if (path != "None") { paths = paths "\\n" path; if (on && lun == 1) own = path }
    }
    /^        LUN: / { lun = $2 }
    !on { next }
    /^    [^ ]/ { acl = /ACL information/ }
    /^            Initiator: / { sessions = sessions gap $2; gap = " " }
    lun == 1 && sub(/^            SCSI SN: /, "") { serial = $0 }
    acl && /^        [^ ]/ { maps = maps space $1; space = " " }
    END { for (free = 1; free in used; free++); print tid "|" sessions "|" maps "|" serial "|" free "|" own paths }')
  backings=\${found#*"$newline"}
  [ "$backings" != "$found" ] || backings=
  IFS='|' read -r tid sessions maps serial free_tid backing <<END
$found
END
}
newline='
'
claim() {
  half_made=
  [ "$serial" != "$1" ] || return 0
  case $serial in
    '' | beaf*) half_made=yes ;;
    *) refuse ${refusals.foreignLun} "its serial is $serial" ;;
  esac
  [ -z "$maps$sessions" ] || refuse ${refusals.foreignLun} "it has tgtd's own serial and is mapped to $maps"
}`

/**
 * `make_lun TARGET SERIAL NAA OBJECT VOLUME LIMIT READONLY [INITIATOR...]`; LIMIT 0: none. The maps come last: an
 * initiator that reconnects to a target without its LUN reports I/O errors to those who use it.
 */
const makeLun = sh`make_lun() {
  target=$1 own=$2 naa=$3 object=$4 volume=$5 limit=$6 readonly=$7
  shift 7
  [ -f "$object" ] || refuse ${refusals.notFound} "$object is not there"
  look_up "$target"
  if [ -n "$tid" ]; then
    claim "$own"
    if [ -z "$half_made" ]; then
      [ "$backing" -ef "$object" ] || refuse ${refusals.backsLun} "the LUN is made from $backing"
      map_lun "$@"
      return 0
    fi
    tgt --op delete --mode target --tid "$tid"
    look_up "$target"
  fi
  count_luns
  [ "$limit" -eq 0 ] || [ "$count" -lt "$limit" ] || refuse ${refusals.lunLimit} "$count LUNs on $volume, limit $limit"
  tid=$free_tid maps= sessions=
  tgt --op new --mode target --tid "$tid" -T "$target"
  trap 'tgt --op delete --mode target --force --tid "$tid"' EXIT
  tgt --op update --mode target --tid "$tid" --name MaxRecvDataSegmentLength --value ${segmentBytes}
  tgt --op update --mode target --tid "$tid" --name MaxXmitDataSegmentLength --value ${segmentBytes}
  tgt --op new --mode logicalunit --tid "$tid" --lun 1 --bstype rdwr --backing-store "$object"
  tgt --op update --mode logicalunit --tid "$tid" --lun 1 --params "scsi_id=$naa,scsi_sn=$own,vendor_id=GANTRY,product_id=CONTAINER,thin_provisioning=1,lbppbe=3,readonly=$readonly"
  map_lun "$@"
  trap - EXIT
}
count_luns() { # on the volume; refuses an object that is under a LUN
  count=0 elsewhere=
  volume=$(cd "$volume" && pwd -P)
  while IFS= read -r path; do
    [ -n "$path" ] || continue
    if [ "$path" -ef "$object" ]; then refuse ${refusals.backsLun} "$path is under another LUN"; fi
    case $path in "$volume"/*) count=$((count + 1)) ;; *) elsewhere="$elsewhere$path$newline" ;; esac
  done <<END
$backings
END
  [ -n "$elsewhere" ] || return 0
  # paths that lead to the volume another way
  elsewhere=$(printf %s "$elsewhere" | xargs -r -d '\\n' realpath -m --)
  while IFS= read -r path; do
    case $path in "$volume"/*) count=$((count + 1)) ;; esac
  done <<END
$elsewhere
END
}`

/**
 * `map_lun [INITIATOR...]` after look_up. A session outlives its map, so who is logged in counts like who has a map: two
 * hosts must not write to one container.
 */
const mapTo = sh`map_lun() {
  for initiator; do
    for holder in $maps $sessions; do
      [ "$holder" = "$initiator" ] || refuse ${refusals.mappedElsewhere} "mapped to or used by $holder"
    done
    case " $maps " in
    *" $initiator "*) ;;
    *) tgt --op bind --mode target --tid "$tid" --initiator-name "$initiator" ;;
    esac
  done
}`

/** `check` is a function of the caller: `check NAME COMMAND...`; see probe of client.ts. */
const probe = (controlPort: number): ShellScript => sh`tgtd_answers() {
  tgt --op show --mode system >/dev/null && echo control port ${controlPort}
}
printf 'version\\t%s\\n' "$(tgtadm --version 2>/dev/null)"
check tgtadm command -v tgtadm
check tgtd tgtd_answers
tgt --op show --mode portal 2>/dev/null | sed -n 's/^Portal: \\(.*\\),[0-9]*$/portal\\t\\1/p'`
