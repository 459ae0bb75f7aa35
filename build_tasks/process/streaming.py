"""Run a command whose output is shown, or told to somebody, as it comes."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import termios
import tty
from collections.abc import Callable, Mapping

from build_tasks import console, escaping
from build_tasks.process.children import child_of
from build_tasks.process.commands import Command, Completed
from build_tasks.redaction import StreamFilter

#: Bytes of a streamed command's output that are kept to say why it failed.
TAIL_BYTES = 64 * 1024


def stream(
    command: Command,
    *,
    environment: Mapping[str, str] | None = None,
    terminal: bool | None = None,
    line: Callable[[str], None] | None = None,
    take: Callable[[bytes], None] | None = None,
) -> Completed:
    """Run a command whose stderr is shown byte for byte as it comes, and keep its last lines.

    Only secrets are hidden; on a terminal each by as many characters, so that a display that moves
    the cursor stays as it is.

    Args:
        command: the program and its arguments.
        environment: variables to set, over this process's own.
        terminal: give the command a terminal for stderr (so that BuildKit draws its own
            display); by default, if our own stderr is one.
        line: is told each line of both outputs instead of our stderr.
        take: is told the bytes of both outputs, cut anywhere, instead of our stderr.

    Raises:
        MissingProgram: the program is not there.
    """
    ours = line is None and take is None
    on_terminal = console.stderr_is_terminal() if terminal is None and ours else bool(terminal)
    reader, writer = pty.openpty() if on_terminal else os.pipe()
    try:
        if on_terminal:
            tty.setraw(writer)  # no translation: what the command writes is what is shown
            _copy_window_size(reader)
        with child_of(
            command,
            environment,
            stdin=subprocess.DEVNULL,
            stdout=None if ours else writer,
            stderr=writer,
        ) as child:
            os.close(writer)
            writer = -1
            if line:
                tail = _show(reader, child, on_terminal, _Lines(line))
            elif take:
                tail = _pass_on(reader, child, on_terminal, take)
            else:
                tail = _show(reader, child, on_terminal, _Shown(same_width=on_terminal))
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    text = escaping.without_sequences(tail.decode(errors="replace"))
    return Completed(command, child.returncode, "", text)


class _Lines:
    """Makes lines of what comes cut anywhere."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._told(line.decode(errors="replace"))

    def end(self) -> None:
        if self._rest:
            self.take(b"\n")


class _Shown:
    """Shows on stderr what comes, without secrets."""

    def __init__(self, *, same_width: bool) -> None:
        self._filter = StreamFilter(same_width=same_width)

    def take(self, chunk: bytes) -> None:
        console.passed_on(self._filter.feed(chunk))

    def end(self) -> None:
        console.passed_on(self._filter.end())


def _show(
    reader: int, child: subprocess.Popen[bytes], on_terminal: bool, output: _Lines | _Shown
) -> bytes:
    """Pass on all that is read until every writer is gone; return the last of it."""
    try:
        return _pass_on(reader, child, on_terminal, output.take)
    finally:
        output.end()


def _pass_on(
    reader: int,
    child: subprocess.Popen[bytes],
    on_terminal: bool,
    take: Callable[[bytes], None],
) -> bytes:
    tail = b""
    while True:
        # Asked before the pipe is: what the command wrote before it ended is there to be read.
        ended = child.poll() is not None
        ready, _, _ = select.select([reader], [], [], 0.2)
        if on_terminal:
            _copy_window_size(reader)
        if not ready:
            # A process that the command left behind may keep the pipe open for ever.
            if ended:
                return tail
            take(b"")  # nothing came: what was held back is shown
            continue
        try:
            chunk = os.read(reader, 65536)
        except OSError:  # Linux says EIO, not end of file, when a terminal's last writer goes
            return tail
        if not chunk:
            return tail
        take(chunk)
        tail = (tail + chunk)[-TAIL_BYTES:]


def _copy_window_size(terminal: int) -> None:
    with contextlib.suppress(termios.error, OSError):
        termios.tcsetwinsize(terminal, termios.tcgetwinsize(2))
