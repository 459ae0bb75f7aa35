"""Run a command, and pass on its output as it comes."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import termios
import tty
from collections.abc import Callable, Mapping

from build_tasks import console
from build_tasks.process.children import CHILDREN
from build_tasks.process.commands import Command, Completed
from build_tasks.text import escaping
from build_tasks.text.redaction import HOLD, StreamFilter

#: Bytes of a streamed command's output that are kept to say why it failed.
TAIL_BYTES = 64 * 1024
#: Seconds between two looks at a command that is silent.
TICK = 1.0


def stream(
    command: Command,
    *,
    environment: Mapping[str, str] | None = None,
    terminal: bool | None = None,
    line: Callable[[str], None] | None = None,
    take: Callable[[bytes], None] | None = None,
) -> Completed:
    """Run a command, show its stderr as it comes, and keep the last of it.

    The bytes stay as they are, but for secrets. On a terminal these keep their width, so that a
    display that moves the cursor stays intact.

    Args:
        command: the program and its arguments.
        environment: variables to set, over this process's own.
        terminal: give the command a terminal as stderr, so that BuildKit draws its own display; by
            default, if our stderr is one.
        line: is told each line of both outputs, which are not shown.
        take: is told the bytes of both outputs, which are not shown, and none each second without.

    Raises:
        MissingProgram: the program cannot be started.
    """
    shown = line is None and take is None
    on_terminal = console.stderr_is_terminal() if terminal is None and shown else bool(terminal)
    sink = _Lines(line) if line else _Display(same_width=on_terminal)
    reader, writer = pty.openpty() if on_terminal else os.pipe()
    try:
        if on_terminal:
            tty.setraw(writer)  # no translation of line ends
            _copy_window_size(reader)
        stdout = None if shown else writer
        with CHILDREN.run(command, environment, stdout=stdout, stderr=writer) as child:
            os.close(writer)
            writer = -1
            try:
                tail = _pass_on(reader, child, take or sink.take, on_terminal=on_terminal)
            finally:
                sink.end()
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    text = escaping.without_sequences(tail.decode(errors="replace"))
    return Completed(command, child.returncode, "", text)


class _Lines:
    """Splits bytes into lines."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line = line
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))

    def end(self) -> None:
        if self._rest:
            self.take(b"\n")


class _Display:
    """Shows bytes on stderr, without secrets."""

    def __init__(self, *, same_width: bool) -> None:
        self._filter = StreamFilter(same_width=same_width)

    def take(self, chunk: bytes) -> None:
        console.write_bytes(self._filter.feed(chunk))

    def end(self) -> None:
        console.write_bytes(self._filter.end())


def _pass_on(
    reader: int,
    child: subprocess.Popen[bytes],
    take: Callable[[bytes], None],
    *,
    on_terminal: bool,
) -> bytes:
    """Pass on what is read until all writers have closed the pipe, and return the last of it."""
    tail = b""
    pause = TICK
    while True:
        # Before the pipe: what the command wrote before it ended is there to be read.
        ended = child.poll() is not None
        ready, _, _ = select.select([reader], [], [], pause)
        if on_terminal:
            _copy_window_size(reader)
        if not ready:
            # A process that the command left behind may keep the pipe open.
            if ended:
                return tail
            take(b"")
            pause = TICK
            continue
        try:
            chunk = os.read(reader, 65536)
        except OSError:  # Linux's end of file of a terminal whose last writer has closed it
            return tail
        if not chunk:
            return tail
        take(chunk)
        tail = (tail + chunk)[-TAIL_BYTES:]
        # The redaction holds back a line without an end for a moment.
        pause = TICK if chunk.endswith(b"\n") else HOLD


def _copy_window_size(terminal: int) -> None:
    with contextlib.suppress(termios.error, OSError):
        termios.tcsetwinsize(terminal, termios.tcgetwinsize(2))
