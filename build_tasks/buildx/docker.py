"""Commands of the docker CLI for images and containers, as pure tuples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError
from build_tasks.model.matrix import Platform
from build_tasks.process import Command

_ABSENT = re.compile(r"no such (?:image|object)", re.IGNORECASE)


def save_command(client: Client, reference: str) -> Command:
    """Return the command that writes an image to standard output, as a tar archive."""
    return (client.docker, "save", reference)


def load_command(client: Client) -> Command:
    """Return the command that reads images from standard input."""
    return (client.docker, "load", "--quiet")


def pull_command(client: Client, reference: str, platform: Platform) -> Command:
    """Return the command that pulls an image for one platform."""
    return (client.docker, "pull", "--quiet", "--platform", platform.value, reference)


def history_command(client: Client, reference: str) -> Command:
    """Return the command that lists the layers of an image, one JSON object per line."""
    form = ("--no-trunc", "--human=false", "--format", "{{json .}}")
    return (client.docker, "history", *form, reference)


def create_command(client: Client, reference: str, options: Sequence[str]) -> Command:
    """Return the command that creates a container which is never started."""
    return (client.docker, "create", *options, reference, "true")


def run_command(
    client: Client, reference: str, options: Sequence[str], arguments: Sequence[str] = ()
) -> Command:
    """Return the command that runs a container."""
    return (client.docker, "run", *options, reference, *arguments)


def container_options(
    name: str, label: str, platform: str, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the options that `create` and `run` share; "" is the platform of the engine."""
    platforms = ("--platform", platform) if platform else ()
    variables = [word for key, text in environment.items() for word in ("--env", f"{key}={text}")]
    return ("--name", name, "--label", label, *platforms, *variables)


def execute_command(client: Client, container: str, *arguments: str) -> Command:
    """Return the command that runs a program in a running container."""
    return (client.docker, "exec", container, *arguments)


def logs_command(client: Client, container: str, lines: int) -> Command:
    """Return the command that prints the last lines of a container's output."""
    return (client.docker, "logs", "--tail", str(lines), container)


def export_command(client: Client, container: str, file: Path) -> Command:
    """Return the command that writes the file system of a container to a tar archive."""
    return (client.docker, "export", "--output", str(file), container)


def list_command(client: Client, label: str) -> Command:
    """Return the command that prints the ids of all containers with a label."""
    return (client.docker, "ps", "--all", "--quiet", "--filter", f"label={label}")


def remove_command(client: Client, containers: Iterable[str]) -> Command:
    """Return the command that stops and removes containers and their volumes."""
    return (client.docker, "rm", "--force", "--volumes", *containers)


def inspect_container_command(client: Client, endpoint: str, container: str) -> Command:
    """Return the command that describes a container on the engine of a builder's node."""
    return (*_at(client, endpoint), "container", "inspect", container)


def read_file_command(client: Client, endpoint: str, container: str, file: str) -> Command:
    """Return the command that prints a file of a container as a tar archive."""
    return (*_at(client, endpoint), "cp", f"{container}:{file}", "-")


def version_command(client: Client, endpoint: str) -> Command:
    """Return the command that prints the version of the engine of a builder's node."""
    return (*_at(client, endpoint), "version", "--format", "{{.Server.Version}}")


def _at(client: Client, endpoint: str) -> Command:
    """Return the docker CLI for the endpoint of a node: an address or the name of a context."""
    if client.owns(endpoint):
        return (client.docker,)
    return (client.docker, "--host" if "://" in endpoint else "--context", endpoint)


def image(client: Client, reference: str, *, timeout: float) -> Mapping[str, Any] | None:
    """Return what `docker image inspect` prints for an image, None if the engine does not have it.

    Args:
        client: programs and environment.
        reference: the image.
        timeout: seconds for the engine to answer.

    Raises:
        EngineError: the engine does not answer, so it is unknown whether it has the image.
    """
    command = (client.docker, "image", "inspect", reference)
    completed = process.run(command, environment=client.environment, timeout=timeout, check=False)
    if completed.returncode:
        lines = [line.strip() for line in completed.stderr.splitlines() if line.strip()]
        status = f"docker ended with exit status {completed.returncode}"
        reason = lines[-1] if lines else status
        if _ABSENT.search(reason):
            return None
        raise EngineError(f"the engine cannot be used: {reason}")
    try:
        (facts,) = json.loads(completed.stdout)
        config = facts.get("Config") or {}
        tables = (facts, config, config.get("Labels") or {}, facts.get("RootFS") or {})
        if facts and all(isinstance(table, dict) for table in tables):
            return dict(facts)
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise EngineError(f"{reference}: the engine's answer is not a description of an image")
