"""Run a command to its end, or beside us with its input or output at hand."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO

from build_tasks.errors import CommandError, CommandTimeout
from build_tasks.process.children import child_of
from build_tasks.process.commands import Command, Completed, Environment, failure, quote


def run(
    command: Command,
    *,
    environment: Environment | None = None,
    input: str | None = None,
    timeout: float = 60.0,
    check: bool = True,
) -> Completed:
    """Run a command to its end and capture what it writes.

    Args:
        command: the program and its arguments.
        environment: variables to set, over this process's own; None removes one.
        input: text for the command's standard input; none by default.
        timeout: seconds until the command is ended.
        check: raise if the command fails.

    Raises:
        MissingProgram: the program is not there.
        CommandError: the command failed and `check` is set.
        CommandTimeout: the command did not end in time.
    """
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    with child_of(
        command, environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        try:
            given = None if input is None else input.encode(errors="surrogateescape")
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
        raise CommandError(failure(completed))
    return completed


@contextlib.contextmanager
def reading(command: Command, *, environment: Environment | None = None) -> Iterator[IO[bytes]]:
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
def writing(command: Command, *, environment: Environment | None = None) -> Iterator[IO[bytes]]:
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


@contextlib.contextmanager
def _succeeding(
    command: Command, environment: Environment | None, *, stdin: int, stdout: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running child, and raise CommandError if it fails, with its own last word."""
    with (
        tempfile.TemporaryFile() as said,
        child_of(command, environment, stdin=stdin, stdout=stdout, stderr=said.fileno()) as child,
    ):
        yield child
        returncode = child.wait()
        said.seek(0)
        text = said.read().decode(errors="replace")
        if returncode:
            raise CommandError(failure(Completed(command, returncode, "", text)))
