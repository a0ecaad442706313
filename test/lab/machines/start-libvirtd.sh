# start-libvirtd.sh LOG, on the host. Running already: nothing.
set -eu
log=$1
if [ -f /run/lab-libvirtd.pid ] && kill -0 "$(cat /run/lab-libvirtd.pid)" 2> /dev/null; then exit 0; fi
setsid libvirtd >> "$log" 2>&1 < /dev/null &
echo "$!" > /run/lab-libvirtd.pid
