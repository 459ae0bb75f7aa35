"""Run a command on the standard streams of this process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping

from build_tasks import console
from build_tasks.errors import Interrupted
from build_tasks.process.children import CHILDREN, GRACE
from build_tasks.process.commands import Command
from build_tasks.process.running import run

_STDIN = 0


def on_terminal() -> bool:
    """Return whether stdin and stdout are a terminal that has this process in its foreground."""
    with contextlib.suppress(OSError):
        return console.stdout_is_terminal() and os.tcgetpgrp(_STDIN) == os.getpgrp()
    return False


def has_input() -> bool:
    """Return whether stdin is open, and no terminal."""
    with contextlib.suppress(OSError, AttributeError, ValueError):  # there is none, or it is closed
        return not os.isatty(sys.stdin.fileno())
    return False


@contextlib.contextmanager
def attached(
    command: Command, *, environment: Mapping[str, str], stdin: bool, cleanup: Command
) -> Iterator[int]:
    """Run a command on our own standard streams, and yield its exit status.

    A signal that ends this process is passed on, and the command has GRACE seconds to end. A
    command that makes a terminal raw, like docker, reads ^C as a character instead.

    Args:
        command: the program and its arguments.
        environment: variables to set, over this process's own.
        stdin: whether the command reads our stdin; else it reads nothing.
        cleanup: ends what the command started elsewhere. It runs after the block, or when the
            command has had its time; after SIGKILL of this process, the watchdog runs it.

    Raises:
        MissingProgram: the program cannot be started.
        Interrupted: a signal ended it.
    """
    source = _STDIN if stdin else subprocess.DEVNULL
    CHILDREN.watchdog.run_if_killed(cleanup, environment)
    try:
        with (
            _restored_terminal(),
            CHILDREN.run(command, environment, stdin=source) as child,
            _resizing(child),
        ):
            try:
                status = child.wait()
            except Interrupted as error:
                try:
                    _pass_on(child, error.signum)
                finally:
                    run(cleanup, environment=environment, check=False)
                raise
        yield status
    finally:
        run(cleanup, environment=environment, check=False)
        CHILDREN.watchdog.run_if_killed((), {})


def _pass_on(child: subprocess.Popen[bytes], signum: int) -> None:
    child.send_signal(signum)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE)


@contextlib.contextmanager
def _restored_terminal() -> Iterator[None]:
    """Restore the modes of the terminal, which a killed command may leave raw."""
    try:
        modes = termios.tcgetattr(_STDIN)
    except termios.error:
        yield
        return
    try:
        yield
    finally:
        if on_terminal():  # in the background, it would stop this process
            with contextlib.suppress(termios.error):
                termios.tcsetattr(_STDIN, termios.TCSADRAIN, modes)


@contextlib.contextmanager
def _resizing(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Tell a child of each new size of the terminal, whose foreground it is not."""
    before = signal.signal(signal.SIGWINCH, lambda signum, _: child.send_signal(signum))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
