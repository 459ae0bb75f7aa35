"""Commands and their results, and how both are shown."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from build_tasks import console
from build_tasks.text.redaction import redact

#: Takes a line that tells people what goes on.
Announce = Callable[[str], None]
Command = tuple[str, ...]
#: Variables to set for a child, over this process's own; None removes one.
Environment = Mapping[str, str | None]


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
    """Return one line that a shell runs as this command, to be shown: secrets in it are hidden.

    The environment has variables to set over the shell's own.
    """
    settings = [f"{name}={value}" for name, value in sorted((environment or {}).items())]
    return redact(shlex.join(["env", *settings, *command] if settings else command))


def echo(command: Command, environment: Mapping[str, str] | None = None) -> None:
    """Show a command on stderr, as a line to paste into a shell."""
    console.message(f"+ {quote(command, environment)}")


def failure(completed: Completed) -> str:
    """Return why a command failed, in one line."""
    lines = [line for line in completed.stderr.splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else f"exit status {completed.returncode}"
    return f"{quote(completed.command)}: {reason}"
