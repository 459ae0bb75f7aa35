"""The container of a developer: its user, sources, home and variables, and its end."""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from build_tasks import process
from build_tasks.buildx import containers, docker, imagetools
from build_tasks.buildx.containers import Foreground
from build_tasks.buildx.toolchain import Client
from build_tasks.config.project import SOURCES
from build_tasks.config.settings import Settings
from build_tasks.errors import EngineError, RunError, UsageError
from build_tasks.model.cache_backends import csv_value
from build_tasks.model.matrix import Build, ImageKind
from build_tasks.plan import airflow_tree
from build_tasks.plan.build_host import BuildHost
from build_tasks.process import Announce
from build_tasks.run import request
from build_tasks.run.request import Request

#: The label of the containers, and that of the volumes.
LABEL, HOME_LABEL = "airflow-images.run", "airflow-images.home"
#: Caches of tools that would be in the sources: variables, with values below the home folder.
CACHES: Mapping[str, str] = {
    "MYPY_CACHE_DIR": "{home}/.cache/mypy",
    "PYTEST_ADDOPTS": "--override-ini=cache_dir={home}/.cache/pytest",
    "RUFF_CACHE_DIR": "{home}/.cache/ruff",
}
#: Where Airflow, as a release, finds what is mounted; AIRFLOW_HOME is in the home folder then.
MOUNTED: Mapping[str, str] = {
    f"AIRFLOW__CORE__{name.upper()}_FOLDER": f"{airflow_tree.FOLDER}/{name}"
    for name in ("dags", "plugins")
}
#: Seconds for the engine to answer.
ANSWER = 60.0
#: The status of `docker run` if the engine could not start the container.
_DOCKER_FAILED = 125


def mounted_sources(settings: Settings, kind: ImageKind, announce: Announce) -> Path | None:
    """Return the folder of the sources to mount, None if the image has them.

    Raises:
        UsageError: there is no such folder.
    """
    if kind is not ImageKind.CI or settings.sources == "copy":
        return None
    if settings.ci_from.startswith("git+"):
        place = settings.origins["ci.from"]
        raise UsageError(f"{place}: the sources to mount are a folder, not {settings.ci_from}")
    if settings.ci_checkout:
        return airflow_tree.folder(settings, announce)
    folder = settings.project.root / SOURCES
    if not folder.is_dir():
        place = settings.origins["sources"]
        raise UsageError(f"{place}: there is no folder to mount: {folder}")
    return folder


def describe(
    host: BuildHost, build: Build, reference: str, sources: Path | None, asked: Request
) -> Foreground:
    """Return the container for an image of the engine.

    The user has the id of the caller, so that new files in the sources are the caller's, and the
    group 0, which has the permissions of the image's user.

    Args:
        host: the host of the engine.
        build: what the image was built as.
        reference: the image.
        sources: the folder to mount; None if the image has them.
        asked: what the options ask for.

    Raises:
        EngineError: the engine lacks the image, or does not answer.
    """
    client = host.client
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
    release = sources is not None and not host.settings.ci_checkout
    own = _environment(home, release=release, terminal=terminal)
    present = {*variables, *(text.partition("=")[0] for text in asked.environment)}
    program = (config.get("Entrypoint") or [""])[0]
    return Foreground(
        image=reference,
        platform=build.platform.value,
        name=f"airflow-images-{build.identity}-{secrets.token_hex(4)}",
        user=f"{uid}:0",
        labels=(f"{LABEL}={build.identity}",),
        environment=(
            *(text for text in own if text.partition("=")[0] not in present),
            *asked.environment,
        ),
        mounts=(
            *([_volume(home, build, reference, uid)] if home else []),
            *([request.bind(sources, airflow_tree.FOLDER)] if sources else []),
            *asked.mounts,
        ),
        ports=asked.ports,
        folder=airflow_tree.FOLDER if ci else "",
        init=not program.endswith(("init", "tini")),
        stdin=terminal or process.has_input(),
        terminal=terminal,
        command=asked.command,
    )


def run(client: Client, container: Foreground) -> None:
    """Run a container to its end, and remove it.

    Raises:
        RunError: its command failed; the exit code is the command's.
        EngineError: the engine cannot start it, or docker was ended.
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
    if status < 0:  # of docker itself: what it ran in the container, it gives as 128 and more
        raise EngineError(f"docker was ended by {signal.Signals(-status).name}")
    if status:
        program = container.command[0] if container.command else "the command"
        raise RunError(f"{program} exited with code {status}", status)


def _home(folder: str) -> str:
    """Return the home folder if it can be a volume: it has nothing of the sources.

    Nor is it among them: the engine would make a folder in what is mounted, for the volume.
    """
    home, sources = PurePosixPath(folder), PurePosixPath(airflow_tree.FOLDER)
    apart = not (sources.is_relative_to(home) or home.is_relative_to(sources))
    return folder if home.is_absolute() and apart else ""


def _volume(home: str, build: Build, reference: str, uid: int) -> str:
    """Return the volume of a home folder, of which each image and user has one.

    Docker fills a new volume with the folder of the image, in which group 0 may write.
    """
    image = imagetools.name_of(reference)
    digest = hashlib.sha256(image.encode()).hexdigest()[:8]
    source = f"airflow-images-{build.identity}-{uid}-{digest}"
    label = f"volume-label={HOME_LABEL}={image}"
    return csv_value(["type=volume", f"source={source}", f"target={home}", label])


def _environment(home: str, *, release: bool, terminal: bool) -> Iterator[str]:
    """Yield the variables that a container gets where neither the image nor the caller sets them.

    Args:
        home: the home folder, if it is a volume.
        release: whether the sources are mounted, and Airflow is a release.
        terminal: whether it has the caller's terminal.
    """
    if home:
        yield from (f"{name}={value.format(home=home)}" for name, value in CACHES.items())
    if release:
        yield from (f"{name}={value}" for name, value in MOUNTED.items())
    if terminal and "TERM" in os.environ:
        yield "TERM"
