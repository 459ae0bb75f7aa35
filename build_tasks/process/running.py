"""Run a command to its end, or while the caller reads its output or writes its input."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO

from build_tasks.errors import CommandError, CommandTimeout
from build_tasks.process.children import CHILDREN
from build_tasks.process.commands import Command, Completed, Environment, failure, quote


def run(
    command: Command,
    *,
    environment: Environment | None = None,
    input: str | None = None,
    timeout: float = 60.0,
    check: bool = True,
) -> Completed:
    """Run a command and capture its output.

    Args:
        command: the program and its arguments.
        environment: variables to set, over this process's own; None removes one.
        input: text for its standard input.
        timeout: seconds until it is ended.
        check: raise if it fails.

    Raises:
        MissingProgram: the program cannot be started.
        CommandError: the command failed and `check` is set.
        CommandTimeout: the command did not end in time.
    """
    pipe = subprocess.PIPE
    stdin = subprocess.DEVNULL if input is None else pipe
    data = None if input is None else input.encode(errors="surrogateescape")
    with CHILDREN.run(command, environment, stdin=stdin, stdout=pipe, stderr=pipe) as child:
        try:
            stdout, stderr = child.communicate(data, timeout=timeout)
        except subprocess.TimeoutExpired:
            message = f"no end after {timeout:g} s: {quote(command)}"
            raise CommandTimeout(message, transient=True) from None
    texts = (output.decode(errors="replace") for output in (stdout, stderr))
    completed = Completed(command, child.returncode, *texts)
    if check and completed.returncode:
        raise CommandError(failure(completed))
    return completed


@contextlib.contextmanager
def reading(command: Command, *, environment: Environment | None = None) -> Iterator[IO[bytes]]:
    """Run a command, and yield its output as a stream.

    Raises:
        MissingProgram: the program cannot be started.
        CommandError: the command failed.
    """
    with _checked(command, environment, stdout=subprocess.PIPE) as child:
        assert child.stdout  # noqa: S101 - it is a pipe
        yield child.stdout


@contextlib.contextmanager
def writing(command: Command, *, environment: Environment | None = None) -> Iterator[IO[bytes]]:
    """Run a command, and yield its input as a stream; its output is dropped.

    Raises:
        MissingProgram: the program cannot be started.
        CommandError: the command failed, or stopped reading.
    """
    with _checked(command, environment, stdin=subprocess.PIPE) as child:
        assert child.stdin  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):  # its exit status and stderr say why
            yield child.stdin
            child.stdin.close()


@contextlib.contextmanager
def _checked(
    command: Command,
    environment: Environment | None,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running child; afterwards, raise CommandError with its last line if it failed."""
    streams = {"stdin": stdin, "stdout": stdout}
    with tempfile.TemporaryFile() as stderr:
        with CHILDREN.run(command, environment, **streams, stderr=stderr.fileno()) as child:
            yield child
        stderr.seek(0)
        text = stderr.read().decode(errors="replace")
        if child.returncode:
            raise CommandError(failure(Completed(command, child.returncode, "", text)))
