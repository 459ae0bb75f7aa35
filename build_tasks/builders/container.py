"""The container that a node with the docker-container driver runs in, as it was made.

buildx's store may say otherwise: it takes new settings for a container that runs with the old
ones, and a container that another process made first keeps its own.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from build_tasks import process
from build_tasks.builders import configuration
from build_tasks.buildx import docker
from build_tasks.buildx.toolchain import ANSWER, Client
from build_tasks.errors import CommandError, EngineError

#: The image that buildx takes where nobody names one.
UPSTREAM = "moby/buildkit"
#: What the suite's stand-in for it is called.
STAND_IN = "/debian-buildkit:"

_FOLDER = "/etc/buildkit"
#: What docker says of a file that a container does not have, or of a container that has just gone.
_MISSING = re.compile(r"could not find the file|no such (?:file|container)", re.IGNORECASE)
#: A size as docker/go-units reads it.
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmg])?(?:i?b)?")
_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


@dataclass(frozen=True)
class Container:
    """What a node runs.

    Args:
        image: the image's reference.
        status: docker's word for its state: `running`, `exited` and others.
        configuration: the text of its buildkitd.toml; empty if it has none.
        options: the driver's options by which it could have been made so.
    """

    image: str
    status: str
    configuration: str
    options: Mapping[str, str]


def name(node: str) -> str:
    """Return what buildx calls the container of a node."""
    return f"buildx_buildkit_{node}"


def volume(node: str) -> str:
    """Return what buildx calls the volume with a node's cache."""
    return f"{name(node)}_state"


def look(client: Client, node: str, endpoint: str) -> Container | None:
    """Return what a node's container runs, None if there is no container.

    Args:
        client: the way to the engine.
        node: the node's name.
        endpoint: the engine that it runs on.
    """
    command = docker.inspect_container_command(client, endpoint, name(node))
    asked = process.run(command, environment=client.environment, timeout=ANSWER, check=False)
    if asked.returncode:
        return None
    try:
        said = json.loads(asked.stdout)[0]
        image, status = str(said["Config"]["Image"]), str(said["State"]["Status"])
        options = _options(said["Config"], said["HostConfig"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise EngineError(
            f"{name(node)}: docker's answer is no description of a container"
        ) from None
    return Container(image, status, _configuration(client, node, endpoint), options)


def differs(option: str, wanted: str, found: Container) -> str | None:
    """Return what a container has for an option, None if that is what is wanted.

    Args:
        option: the driver's option; those that mean nothing to a container never differ.
        wanted: its value.
        found: the container.
    """
    has = found.options.get(option)
    if option.startswith("env."):
        return None if has == wanted else has or "not set"
    if has is None:
        return None
    if option in {"memory", "memory-swap"}:
        size = _SIZE.fullmatch(wanted.lower())
        same = not size or int(has) == int(float(size[1]) * _UNITS[size[2] or "b"])
        return None if same else has
    # buildx may pin the image that it was told: NAME:TAG@sha256:...
    if option == "image" and has.startswith(f"{wanted}@"):
        return None
    return None if has == wanted else has


def _options(config: Mapping[str, object], host: Mapping[str, object]) -> dict[str, str]:
    restart = host.get("RestartPolicy")
    environment = config.get("Env")
    variables = [str(item) for item in environment] if isinstance(environment, list) else []
    return {
        "image": str(config["Image"]),
        "network": str(host.get("NetworkMode", "")),
        "restart-policy": str(restart.get("Name", "")) if isinstance(restart, Mapping) else "",
        "memory": str(host.get("Memory", 0)),
        "memory-swap": str(host.get("MemorySwap", 0)),
        "cpu-period": str(host.get("CpuPeriod", 0)),
        "cpu-quota": str(host.get("CpuQuota", 0)),
        "cpu-shares": str(host.get("CpuShares", 0)),
        "cpuset-cpus": str(host.get("CpusetCpus", "")),
        "cpuset-mems": str(host.get("CpusetMems", "")),
        **{f"env.{key}": value for key, _, value in (item.partition("=") for item in variables)},
    }


def _configuration(client: Client, node: str, endpoint: str) -> str:
    """Return the container's own file, which a container that does not run has, too.

    Raises:
        CommandError: docker was killed while it sent the file.
    """
    import tarfile  # noqa: PLC0415 - not on the way of a build

    path = f"{_FOLDER}/{configuration.FILE}"
    command = docker.read_file_command(client, endpoint, name(node), path)
    try:
        # All of it first: an answer that docker broke off is docker's failure, and no archive.
        with process.reading(command, environment=client.environment) as stream:
            sent = io.BytesIO(stream.read())
        with tarfile.open(fileobj=sent) as archive:
            files = (archive.extractfile(member) for member in archive)
            text = b"".join(file.read() for file in files if file)
    except CommandError as error:
        if _MISSING.search(str(error)):
            return ""
        raise
    except tarfile.TarError as error:
        raise CommandError(f"{name(node)}: docker sent no archive: {error}") from None
    return text.decode(errors="replace")
