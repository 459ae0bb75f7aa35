"""Run the commands of buildx that manage builders, caches and tags."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from build_tasks import process
from build_tasks.buildx import classification, commands
from build_tasks.buildx.toolchain import Client
from build_tasks.model.builder import Builder
from build_tasks.process import Command

#: Seconds for a builder to start; buildx itself gives up after about 15.
BOOT = 120.0


def create(client: Client, builder: Builder, configuration: Path | None) -> None:
    """Create a builder and boot its nodes, or raise ImagesError."""
    for command in commands.create_commands(client, builder, configuration):
        stream(client, command, f"builder {builder.name}")


def bootstrap(client: Client, name: str) -> None:
    """Start the nodes of a builder, or raise ImagesError."""
    command = commands.bootstrap_command(client, name)
    process.echo(command, client.environment)
    capture(client, command, f"builder {name}", timeout=BOOT)


def remove(client: Client, name: str, *, keep_cache: bool = False) -> None:
    """Remove a builder, and its cache unless that is kept, or raise ImagesError."""
    command = commands.remove_command(client, name, keep_cache=keep_cache)
    stream(client, command, f"builder {name}")


def capture(client: Client, command: Command, subject: str, *, timeout: float) -> str:
    """Return what a command prints.

    Raises:
        ImagesError: it failed, or took longer than `timeout` seconds; the message names the
            subject.
    """
    completed = process.run(command, environment=client.environment, timeout=timeout, check=False)
    if completed.returncode:
        raise classification.classify(completed, subject)
    return completed.stdout


def stream(
    client: Client, command: Command, subject: str, line: Callable[[str], None] | None = None
) -> None:
    """Show a command and its output, or pass both to `line`; raise ImagesError if it fails."""
    if line:
        line(f"+ {process.quote(command, client.environment)}")
    else:
        process.echo(command, client.environment)
    completed = process.stream(command, environment=client.environment, line=line)
    if completed.returncode:
        raise classification.classify(completed, subject)
