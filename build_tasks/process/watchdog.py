"""End the children of this process if it is killed.

After SIGKILL nothing runs in a process, but its children go on: buildx to push, docker to load. A
shell in a session of its own (`watchdog.sh`) reads from a pipe which groups of processes run. The
pipe ends with this process, however it ends.

Linux could signal the children itself (PR_SET_PDEATHSIG), but it does so at the end of the thread
that started them, without their groups, and only for code that runs between fork and exec, which
is not safe while other threads run.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_SHELL = "/bin/sh"
_SCRIPT = Path(__file__).with_name("watchdog.sh")


class Watchdog:
    """Tells a shell what ends with this process: groups of processes, files, and a container."""

    def __init__(self) -> None:
        #: A variable that children inherit: one that was not reported yet is known by it.
        self.mark = {"_IMAGE_FACTORY_PARENT": f"{os.getpid()}-{os.urandom(8).hex()}"}
        self._lock = threading.Lock()
        self._shell: subprocess.Popen[bytes] | None = None
        self._files: list[Path] = []
        self._command = ""

    def start(self) -> None:
        """Start the shell if none runs. Without a shell, children are not watched."""
        with self._lock, contextlib.suppress(OSError):
            if self._shell and self._shell.stdin:
                if self._shell.poll() is None:
                    return
                self._shell.stdin.close()
            ((name, value),) = self.mark.items()
            self._shell = subprocess.Popen(
                (_SHELL, "-c", _SCRIPT.read_text(encoding="utf-8"), "sh", f"{name}={value}"),
                bufsize=0,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for file in self._files:
                self._write_file(file)
            self._write_command()

    def started(self, group: int) -> None:
        """Watch a group of processes."""
        self._write(f"started {group}\n")

    def ended(self, group: int) -> None:
        """Stop watching a group of processes."""
        self._write(f"ended {group}\n")

    def remove_if_killed(self, file: Path) -> None:
        """Have a file removed if this process is killed, which otherwise removes it itself."""
        self._files.append(file)
        self._write_file(file)

    def run_if_killed(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Have a command run if this process is killed; an empty one for none.

        It ends what a child has started elsewhere, like a container.
        """
        settings = [f"{name}={value}" for name, value in environment.items()]
        self._command = shlex.join(["env", *settings, *command]) if command else ""
        self._write_command()

    def _write_command(self) -> None:
        if "\n" not in self._command:
            self._write(f"command {self._command}\n")

    def _write_file(self, file: Path) -> None:
        # The shell reads lines: a name with a newline would become another file's.
        if "\n" not in os.fspath(file):
            self._write(f"file {file}\n")

    def _write(self, line: str) -> None:
        # A write of so few bytes is atomic, also from several threads.
        with contextlib.suppress(OSError):
            if self._shell and self._shell.stdin:
                self._shell.stdin.write(os.fsencode(line))
