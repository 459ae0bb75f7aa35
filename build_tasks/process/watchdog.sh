# shellcheck shell=sh
# End the children of a process that was killed: sh watchdog.sh NAME=VALUE < PIPE
#
# Reads lines: `started GROUP`, `ended GROUP`, `file PATH`, `command COMMAND`, of which the last one
# counts. The pipe ends with the process. Then ends the groups that are left, and every process with
# the variable NAME=VALUE in its environment (where there is /proc), runs the command, at once and
# when all have ended, and removes the files.
#
# No process gets SIGTERM more than twice: at the third, buildx and docker exit without cleaning up.
# SIGKILL follows after 7 seconds, as in children.py.
trap '' HUP INT TERM
mark=$1 groups='' marked='' command='' seconds=7
shift
while IFS=" " read -r verb value; do
  case $verb in
    started) groups="$groups $value" ;;
    ended)
      kept=
      for group in $groups; do [ "$group" = "$value" ] || kept="$kept $group"; done
      groups=$kept ;;
    file) set -- "$@" "$value" ;;
    command) command=$value ;;
  esac
done
for group in $groups; do kill -s TERM -- "-$group"; done
[ -z "$command" ] || sh -c "$command" &
while :; do
  # shellcheck disable=SC2013 # a name in /proc has no space
  for file in $(grep -lsF "$mark" /proc/[0-9]*/environ); do
    pid=${file#/proc/} pid=${pid%/environ}
    case " $marked $groups " in *" $pid "*) continue ;; esac
    marked="$marked $pid"
    kill -s TERM "$pid"
  done
  left=
  for group in $groups; do kill -s 0 -- "-$group" && left=yes; done
  for pid in $marked; do kill -s 0 "$pid" && left=yes; done
  [ -n "$left" ] && [ $seconds -gt 0 ] || break
  seconds=$((seconds - 1))
  sleep 1
done
for group in $groups; do kill -s KILL -- "-$group"; done
for pid in $marked; do kill -s KILL "$pid"; done
[ -z "$command" ] || sh -c "$command"
for file; do rm -f "$file"; done
