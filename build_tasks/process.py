"""Run, capture, stream: the only door to other programs.

Every child has a session of its own, so that it ends when we say so and its whole group with it:
^C of the terminal reaches this process alone, which asks the child to end (BuildKit cancels the
build on SIGTERM), waits, and only then kills.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from build_tasks.errors import CommandError, CommandTimeout, Interrupted, MissingProgram

Command = tuple[str, ...]

#: Seconds that a child has between SIGTERM and SIGKILL; BuildKit needs about one.
GRACE = 7.0
#: Bytes of a streamed command's output that are kept to say why it failed.
TAIL_BYTES = 64 * 1024

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])")
#: Kept, because Python warns of a child that is forgotten while it runs.
_spawned: list[subprocess.Popen[bytes]] = []
_STOPPED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: What runs in threads other than the main one, and whether all of that has to end.
_elsewhere: list[subprocess.Popen[bytes]] = []
_over = threading.Event()
#: What the main thread is starting, and the signals that came meanwhile.
_starting: list[Command] = []
_waiting: list[int] = []


@dataclass(frozen=True)
class Completed:
    """A command that ended: its exit status and what it wrote.

    A streamed command has its last lines of both outputs in `stderr` and nothing in `stdout`.
    """

    command: Command
    returncode: int
    stdout: str
    stderr: str


def quote(command: Command, environment: Mapping[str, str] | None = None) -> str:
    """Return one line that a shell runs as this command.

    Args:
        command: the program and its arguments.
        environment: variables to set before it, over the shell's own.
    """
    settings = [f"{name}={value}" for name, value in sorted((environment or {}).items())]
    return shlex.join(["env", *settings, *command] if settings else command)


def echo(command: Command, environment: Mapping[str, str] | None = None) -> None:
    """Show a command on stderr, as a line to paste into a shell."""
    print(f"+ {quote(command, environment)}", file=sys.stderr, flush=True)


def run(
    command: Command,
    *,
    environment: Mapping[str, str] | None = None,
    input: str | None = None,
    timeout: float = 60.0,
    check: bool = True,
) -> Completed:
    """Run a command to its end and capture what it writes.

    Args:
        command: the program and its arguments.
        environment: variables to set, over this process's own.
        input: text for the command's standard input; none by default.
        timeout: seconds until the command is ended.
        check: raise if the command fails.

    Raises:
        MissingProgram: the program is not there.
        CommandError: the command failed and `check` is set.
        CommandTimeout: the command did not end in time.
    """
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    with _child(
        command, environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        try:
            given = None if input is None else input.encode()
            stdout, stderr = child.communicate(given, timeout=timeout)
        except subprocess.TimeoutExpired:
            message = f"no end after {timeout:g} s: {quote(command)}"
            raise CommandTimeout(message, transient=True) from None
    completed = Completed(
        command,
        child.returncode,
        stdout.decode(errors="replace"),
        stderr.decode(errors="replace"),
    )
    if check and completed.returncode:
        raise CommandError(_failure(completed))
    return completed


def stream(
    command: Command,
    *,
    environment: Mapping[str, str] | None = None,
    terminal: bool | None = None,
    line: Callable[[str], None] | None = None,
    take: Callable[[bytes], None] | None = None,
) -> Completed:
    """Run a command whose stderr is shown byte for byte as it comes, and keep its last lines.

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
    on_terminal = sys.stderr.isatty() if terminal is None and ours else bool(terminal)
    reader, writer = pty.openpty() if on_terminal else os.pipe()
    try:
        if on_terminal:
            tty.setraw(writer)  # no translation: what the command writes is what is shown
            _copy_window_size(reader)
        with _child(
            command,
            environment,
            stdin=subprocess.DEVNULL,
            stdout=None if ours else writer,
            stderr=writer,
        ) as child:
            os.close(writer)
            writer = -1
            tail = _show(reader, child, on_terminal, _Lines(line) if line else None, take)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    text = _ANSI.sub("", tail.decode(errors="replace"))
    return Completed(command, child.returncode, "", text)


@contextlib.contextmanager
def reading(
    command: Command, *, environment: Mapping[str, str] | None = None
) -> Iterator[IO[bytes]]:
    """Run a command and give what it writes, as it comes.

    Raises:
        MissingProgram: the program is not there.
        CommandError: the command failed.
    """
    with _succeeding(
        command, environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout  # noqa: S101 - it was asked for
        yield child.stdout


@contextlib.contextmanager
def writing(
    command: Command, *, environment: Mapping[str, str] | None = None
) -> Iterator[IO[bytes]]:
    """Run a command and take what it reads; what it writes itself is dropped.

    Raises:
        MissingProgram: the program is not there.
        CommandError: the command failed, also where it stopped reading.
    """
    with _succeeding(
        command, environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as child:
        assert child.stdin  # noqa: S101 - it was asked for
        with contextlib.suppress(BrokenPipeError):  # it has failed, and says why afterwards
            yield child.stdin
            child.stdin.close()


def spawn(command: Command, *, environment: Mapping[str, str], log: Path) -> int:
    """Start a command that outlives this process, and return its process id.

    Args:
        command: the program and its arguments.
        environment: variables to set, over this process's own.
        log: the file that gets both outputs, from its beginning.

    Raises:
        MissingProgram: the program is not there.
    """
    with log.open("wb") as output:
        child = _start(
            command,
            environment,
            stdin=subprocess.DEVNULL,
            stdout=output.fileno(),
            stderr=output.fileno(),
        )
    _spawned.append(child)
    return child.pid


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn ^C, SIGTERM and SIGHUP into `Interrupted` while the block runs.

    Only the main thread of a process can receive signals; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, _frame: FrameType | None) -> None:
        if _starting:
            _waiting.append(signum)
        else:
            raise Interrupted(signum)

    before = {signum: signal.signal(signum, stop) for signum in _STOPPED_BY}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def end_others() -> None:
    """End what other threads run, and let them start nothing more."""
    _over.set()
    children = [*_elsewhere]
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
    until = time.monotonic() + GRACE
    try:
        while time.monotonic() < until and any(child.poll() is None for child in children):
            time.sleep(0.02)
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def allow_others() -> None:
    """Let other threads start programs again after they were ended."""
    _over.clear()


@contextlib.contextmanager
def _listed(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Know of a child that another thread has started, so that the main one can end it."""
    if threading.current_thread() is threading.main_thread():
        yield
        return
    _elsewhere.append(child)
    try:
        if _over.is_set():
            raise Interrupted
        yield
    finally:
        _elsewhere.remove(child)


@contextlib.contextmanager
def _succeeding(
    command: Command, environment: Mapping[str, str] | None, *, stdin: int, stdout: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running child, and raise CommandError if it fails, with its own last word."""
    with (
        tempfile.TemporaryFile() as said,
        _child(command, environment, stdin=stdin, stdout=stdout, stderr=said.fileno()) as child,
    ):
        yield child
        returncode = child.wait()
        said.seek(0)
        text = said.read().decode(errors="replace")
        if returncode:
            raise CommandError(_failure(Completed(command, returncode, "", text)))


def _start(
    command: Command,
    environment: Mapping[str, str] | None,
    *,
    stdin: int,
    stdout: int | None = None,
    stderr: int | None = None,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise MissingProgram(f"cannot start {command[0]}: {error.strerror}") from None


@contextlib.contextmanager
def _child(
    command: Command,
    environment: Mapping[str, str] | None,
    *,
    stdin: int,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running child, and leave no process of its group behind."""
    child = None
    try:
        with _whole(command):
            child = _start(command, environment, stdin=stdin, stdout=stdout, stderr=stderr)
        with _listed(child):
            yield child
        child.wait()
    except BaseException:
        if child:
            _end(child)
        raise
    finally:
        for pipe in (child.stdin, child.stdout, child.stderr) if child else ():
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def _whole(command: Command) -> Iterator[None]:
    """Let signals wait while a command is started: the child would be nobody's to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _starting.append(command)
    try:
        yield
    finally:
        _starting.pop()
        came = [*_waiting]
        _waiting.clear()
    if came:
        raise Interrupted(came[0])


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the child's group to end, then make it; a second signal to us makes it at once."""
    try:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
    finally:
        # The group can outlive its leader: a docker CLI that is gone leaves its plugin behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


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


def _show(
    reader: int,
    child: subprocess.Popen[bytes],
    on_terminal: bool,
    lines: _Lines | None,
    take: Callable[[bytes], None] | None,
) -> bytes:
    """Pass on all that is read until every writer is gone; return the last of it."""
    try:
        return _pass_on(reader, child, on_terminal, take or (lines.take if lines else _to_stderr))
    finally:
        if lines:
            lines.end()


def _pass_on(
    reader: int,
    child: subprocess.Popen[bytes],
    on_terminal: bool,
    take: Callable[[bytes], None],
) -> bytes:
    tail = b""
    while True:
        ready, _, _ = select.select([reader], [], [], 0.2)
        if on_terminal:
            _copy_window_size(reader)
        if not ready:
            # A process that the command left behind may keep the pipe open for ever.
            if child.poll() is not None:
                return tail
            continue
        try:
            chunk = os.read(reader, 65536)
        except OSError:  # Linux says EIO, not end of file, when a terminal's last writer goes
            return tail
        if not chunk:
            return tail
        take(chunk)
        tail = (tail + chunk)[-TAIL_BYTES:]


def _to_stderr(chunk: bytes) -> None:
    sys.stderr.buffer.write(chunk)
    sys.stderr.buffer.flush()


def _copy_window_size(terminal: int) -> None:
    with contextlib.suppress(termios.error, OSError):
        termios.tcsetwinsize(terminal, termios.tcgetwinsize(2))


def _failure(completed: Completed) -> str:
    lines = [line for line in completed.stderr.splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else f"exit status {completed.returncode}"
    return f"{quote(completed.command)}: {reason}"
