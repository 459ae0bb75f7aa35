"""The container of a developer: its user, sources, home and variables, and its end."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from build_tasks import process
from build_tasks.buildx import containers, docker
from build_tasks.buildx.containers import Foreground
from build_tasks.buildx.toolchain import Client
from build_tasks.config.project import SOURCES
from build_tasks.config.settings import Settings
from build_tasks.errors import EngineError, RunError, UsageError
from build_tasks.model.cache_backends import csv_value
from build_tasks.model.matrix import Build, ImageKind
from build_tasks.plan.build_host import BuildHost
from build_tasks.run import request
from build_tasks.run.request import Request

#: Where a CI image has the sources, or gets them mounted.
TREE = "/opt/airflow"
#: The label of the containers, and that of the volumes.
LABEL, HOME_LABEL = "airflow-images.run", "airflow-images.home"
#: Caches of tools that would be in the sources: variables, with values below the home folder.
CACHES: Mapping[str, str] = {
    "MYPY_CACHE_DIR": "{home}/.cache/mypy",
    "PYTEST_ADDOPTS": "--override-ini=cache_dir={home}/.cache/pytest",
    "RUFF_CACHE_DIR": "{home}/.cache/ruff",
}
#: Seconds for the engine to answer.
ANSWER = 60.0
#: The status of `docker run` if the engine could not start the container.
_DOCKER_FAILED = 125


def tree(settings: Settings, kind: ImageKind) -> Path | None:
    """Return the folder of the sources to mount, None if the image has them.

    Raises:
        UsageError: there is no such folder.
    """
    if kind is not ImageKind.CI or settings.sources == "copy":
        return None
    if settings.ci_from == "release":
        return settings.project.path(SOURCES)
    origin = settings.origins["ci.from"]
    if settings.ci_from.startswith("git+"):
        raise UsageError(f"{origin}: the sources to mount are a folder, not {settings.ci_from}")
    folder = settings.path("ci.from", settings.ci_from)
    if not folder.is_dir():
        raise UsageError(f"{origin}: no such folder: {settings.ci_from}")
    return folder


def describe(
    host: BuildHost, build: Build, reference: str, tree: Path | None, asked: Request
) -> Foreground:
    """Return the container for an image of the engine.

    The user has the id of the caller, so that new files in the sources are the caller's, and the
    group 0, which has the permissions of the image's user.

    Args:
        host: the host of the engine.
        build: what the image was built as.
        reference: the image.
        tree: the sources to mount; None if the image has them.
        asked: what the options ask for.

    Raises:
        EngineError: the engine lacks the image, or cannot mount files of this machine.
    """
    client = host.client
    if client.socket is None and (tree or any("type=bind" in mount for mount in asked.mounts)):
        raise EngineError("the engine is on another machine, and can mount no files of this one")
    facts = docker.image(client, reference, timeout=ANSWER)
    if facts is None:
        raise EngineError(f"{reference}: the engine does not have it")
    config = facts.get("Config") or {}
    variables = dict(text.partition("=")[::2] for text in config.get("Env") or ())
    ci = build.kind is ImageKind.CI
    # In a rootless engine, the caller is the user 0 of containers.
    uid = 0 if client.rootless else os.getuid()
    home = _home(variables.get("HOME", "")) if ci else ""
    terminal = process.on_terminal()
    program = (config.get("Entrypoint") or [""])[0]
    return Foreground(
        image=reference,
        platform=build.platform.value,
        name=f"airflow-images-{build.identity}-{secrets.token_hex(4)}",
        user=f"{uid}:0",
        labels=(f"{LABEL}={build.identity}",),
        environment=_environment(variables, home, asked, terminal=terminal),
        mounts=(
            *([_volume(home, build, reference, uid)] if home else []),
            *([request.bind(tree, TREE)] if tree else []),
            *asked.mounts,
        ),
        ports=asked.ports,
        folder=TREE if ci else "",
        init=not program.endswith(("init", "tini")),
        stdin=terminal or process.has_input(),
        terminal=terminal,
        command=asked.command,
    )


def run(client: Client, container: Foreground) -> None:
    """Run a container to its end, and remove it.

    Raises:
        RunError: its command failed; the exit code is the command's.
        EngineError: the engine cannot start it.
        Interrupted: a signal ended it.
    """
    with process.attached(
        containers.run_command(client, container),
        environment=client.environment,
        stdin=container.stdin,
        cleanup=containers.remove_command(client, container.name),
    ) as status:
        if status == _DOCKER_FAILED and not containers.started(client, container.name):
            raise EngineError(f"{container.image}: the container did not start, see above")
    if status:
        program = container.command[0] if container.command else "the command"
        raise RunError(f"{program} exited with code {status}", status)


def _home(folder: str) -> str:
    """Return the home folder if it can be a volume: it has nothing of the sources."""
    path = PurePosixPath(folder)
    return "" if not path.is_absolute() or PurePosixPath(TREE).is_relative_to(path) else folder


def _volume(home: str, build: Build, reference: str, uid: int) -> str:
    """Return the volume of a home folder, of which each image and user has one.

    Docker fills a new volume with the folder of the image, in which group 0 may write.
    """
    image = reference.rpartition(":")[0]
    digest = hashlib.sha256(image.encode()).hexdigest()[:8]
    source = f"airflow-images-{build.identity}-{uid}-{digest}"
    label = f"volume-label={HOME_LABEL}={image}"
    return csv_value(["type=volume", f"source={source}", f"target={home}", label])


def _environment(
    variables: Mapping[str, str], home: str, asked: Request, *, terminal: bool
) -> tuple[str, ...]:
    """Return the variables of the container; those of the image and of the options stay."""
    given = {text.partition("=")[0] for text in asked.environment} | variables.keys()
    own = [f"{name}={value.format(home=home)}" for name, value in CACHES.items() if home]
    own += ["TERM"] if terminal and "TERM" in os.environ else []
    return (*(text for text in own if text.partition("=")[0] not in given), *asked.environment)
