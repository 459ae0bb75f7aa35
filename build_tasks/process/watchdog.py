"""End the children of a process that was killed.

Nothing runs in a process after SIGKILL, and its children go on: buildx to push, docker to load. A
shell of its own session reads from a pipe which groups of processes run. The pipe ends with this
process, however it ends, and the shell then ends the groups that are left. A child that was started
and not yet reported is found by a variable in its environment, where there is /proc. Then the shell
removes the files that children write for this process alone.

Linux could signal the children itself (PR_SET_PDEATHSIG), but at the end of the thread that started
them, without their groups, and only by code that runs between fork and exec, which is not safe
while other threads run.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from pathlib import Path

#: The variable that children are known by, and its value for the children of this process.
VARIABLE = "_IMAGE_FACTORY_PARENT"
MARK = f"{os.getpid()}-{os.urandom(8).hex()}"
_SHELL = "/bin/sh"
# Nothing gets SIGTERM more than twice: at the third, buildx and docker leave all as it is. SIGKILL
# follows after as many seconds as where a signal could be handled.
_SCRIPT = """\
trap '' HUP INT TERM
mark=$1 groups= marked= seconds=7
shift
while IFS=" " read -r verb group; do
  case $verb in
    started) groups="$groups $group" ;;
    ended)
      kept=
      for one in $groups; do [ "$one" = "$group" ] || kept="$kept $one"; done
      groups=$kept ;;
    file) set -- "$@" "$group" ;;
  esac
done
for one in $groups; do kill -s TERM -- "-$one"; done
while :; do
  for file in $(grep -lsF "$mark" /proc/[0-9]*/environ); do
    one=${file#/proc/} one=${one%/environ}
    case " $marked $groups " in *" $one "*) continue ;; esac
    marked="$marked $one"
    kill -s TERM "$one"
  done
  left=
  for one in $groups; do kill -s 0 -- "-$one" && left=yes; done
  for one in $marked; do kill -s 0 "$one" && left=yes; done
  [ -n "$left" ] && [ $seconds -gt 0 ] || break
  seconds=$((seconds - 1))
  sleep 1
done
for one in $groups; do kill -s KILL -- "-$one"; done
for one in $marked; do kill -s KILL "$one"; done
for one; do rm -f "$one"; done
"""

_lock = threading.Lock()
#: The shells, the last of which runs; kept, because Python warns of a child that is forgotten.
_shells: list[subprocess.Popen[bytes]] = []
#: What each new shell has to remove.
_files: list[Path] = []


def prepare() -> None:
    """Start the shell, if none runs. Where there is no shell, children are not watched."""
    with _lock:
        if _shells and _shells[-1].poll() is None:
            return
        with contextlib.suppress(OSError):
            shell = subprocess.Popen(
                (_SHELL, "-c", _SCRIPT, "sh", f"{VARIABLE}={MARK}"),
                bufsize=0,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            _shells.append(shell)
            for file in _files:
                _tell_file(file)


def started(group: int) -> None:
    """Hear that a group of processes runs."""
    _tell(f"started {group}\n")


def remove_if_killed(file: Path) -> None:
    """Have a file removed when this process is killed, which removes it itself otherwise."""
    _files.append(file)
    _tell_file(file)


def ended(group: int) -> None:
    """Hear that a group of processes ended."""
    _tell(f"ended {group}\n")


def _tell_file(file: Path) -> None:
    # The shell reads lines: a name with a newline would be another file's.
    if "\n" not in os.fspath(file):
        _tell(f"file {file}\n")


def _tell(line: str) -> None:
    # One write of so few bytes is whole, also from several threads.
    with contextlib.suppress(OSError, IndexError):
        pipe = _shells[-1].stdin
        if pipe:
            pipe.write(os.fsencode(line))
