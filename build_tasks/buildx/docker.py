"""Commands of the docker CLI for images, and for the containers of builders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
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


def tag_command(client: Client, source: str, target: str) -> Command:
    """Return the command that gives an image of the engine another name."""
    return (client.docker, "tag", source, target)


def history(client: Client, reference: str) -> list[dict[str, str]]:
    """Return the layers of an image, uppermost first, as `docker history` prints them."""
    form = ("--no-trunc", "--human=false", "--format", "{{json .}}")
    command = (client.docker, "history", *form, reference)
    completed = process.run(command, environment=client.environment)
    return [json.loads(line) for line in completed.stdout.splitlines()]


def inspect_container_command(client: Client, endpoint: str, container: str) -> Command:
    """Return the command that describes a container on the engine of a builder's node."""
    return (*_at(client, endpoint), "container", "inspect", container)


def copy_command(client: Client, endpoint: str, source: str, target: Path) -> Command:
    """Return the command that copies a file, `CONTAINER:PATH`, to this machine."""
    return (*_at(client, endpoint), "cp", source, str(target))


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

    Raises:
        EngineError: the engine does not answer, so it is unknown whether it has the image.
    """
    command = (client.docker, "image", "inspect", reference)
    completed = process.run(command, environment=client.environment, timeout=timeout, check=False)
    if completed.returncode:
        status = f"docker ended with exit status {completed.returncode}"
        reason = (completed.stderr.strip().splitlines() or [status])[-1].strip()
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
