#!/bin/sh
# launch.sh RECORD COMMAND [ARGUMENT]...
# Becomes COMMAND after writing "pid start-time" to RECORD. The record is there before the command runs, so whoever
# starts it may die at any moment; the start time (proc(5), stat, field 22) tells it from a later process of that pid.
set -eu
record=$1
shift
read -r stat < /proc/$$/stat
# After the command's name, which may hold blanks, the start time is field 20.
start=$(printf '%s\n' "${stat##*) }" | cut -d ' ' -f 20)
printf '%s %s\n' "$$" "$start" > "$record.new"
mv "$record.new" "$record"
exec "$@"
