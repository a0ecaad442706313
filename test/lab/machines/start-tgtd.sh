# start-tgtd.sh CONTROL_PORT PORTAL LOG, on the array. Running already: nothing.
set -eu
control=$1 portal=$2 log=$3
if tgtadm -C "$control" --lld iscsi --op show --mode system > /dev/null 2>&1; then exit 0; fi
setsid tgtd -f -C "$control" -t 4 --iscsi "portal=$portal" >> "$log" 2>&1 < /dev/null &
echo "$!" > /run/lab-tgtd.pid
