"""A program on a real terminal of its own, whose keys are pressed and whose screen is read."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Terminal:
    """A terminal and what runs on it.

    Args:
        process: what runs.
        master: the end that is ours.
    """

    process: subprocess.Popen[bytes]
    master: int
    _shown: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that was written to it so far."""
        return b"".join(self._shown).decode(errors="replace")

    def press(self, keys: bytes) -> None:
        """Press keys; ^C is b"\\x03"."""
        os.write(self.master, keys)

    def resize(self, lines: int, columns: int) -> None:
        """Give its window another size."""
        termios.tcsetwinsize(self.master, (lines, columns))

    def wait_for(self, word: str, seconds: float = 30) -> None:
        """Wait until a word was written."""
        self.wait_until(lambda text: word in text, seconds)

    def wait_until(self, holds: Callable[[str], bool], seconds: float = 30) -> None:
        """Wait until something holds for the text."""
        until = time.monotonic() + seconds
        while not holds(self.text):
            assert time.monotonic() < until, f"it is not in {self.text[-2000:]!r}"
            assert self.process.poll() is None, self.text[-2000:]
            time.sleep(0.02)

    def read(self) -> None:
        """Read until nothing has the terminal open any more."""
        with contextlib.suppress(OSError):
            while chunk := os.read(self.master, 65536):
                self._shown.append(chunk)


@contextlib.contextmanager
def on_terminal(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """Run a command as the foreground of a terminal of 100 columns and 30 lines."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (30, 100))
    # With the terminal as its controlling one, so that ^C there is a signal.
    process = subprocess.Popen(
        ("/usr/bin/setsid", "--ctty", "--wait", *command),
        cwd=folder,
        env={**environment, "TERM": "xterm"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    shown = Terminal(process, master)
    reader = threading.Thread(target=shown.read)
    reader.start()
    try:
        yield shown
        process.wait(30)
        reader.join(10)
    finally:
        process.kill()
        process.wait()
        os.close(master)
