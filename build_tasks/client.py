"""The way to an engine: which docker, which buildx, with which environment.

An engine that the docker CLI reaches is used where it is. Where there is none, and nobody asked
for a certain one, the embedded engine takes its place. Nothing of the user's is changed: builders
that the suite creates live in a folder of its own (BUILDX_CONFIG), and credentials still come
from the user's DOCKER_CONFIG.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from build_tasks import places, process
from build_tasks.errors import EngineError, ImagesError, MissingProgram
from build_tasks.matrix import Platform

if TYPE_CHECKING:
    from build_tasks.engine.handle import Embedded

#: The oldest buildx with --progress=rawjson; docs/engines.md says what newer ones add.
OLDEST_BUILDX = (0, 13)
DEFAULT_SOCKET = "unix:///var/run/docker.sock"
#: Seconds for an engine to answer a question.
ANSWER = 20.0

_INSTALL = "install Docker Engine 26 or newer with its buildx plugin"
_PLUGIN_FOLDERS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)


@dataclass(frozen=True)
class Client:
    """Programs and environment that reach one engine.

    Args:
        docker: the docker CLI.
        buildx: the buildx plugin, called directly: that saves the CLI's own start.
        environment: variables that both need, over this process's own.
        embedded: the embedded engine, if it is the one.
    """

    docker: str
    buildx: tuple[str, ...]
    environment: Mapping[str, str]
    embedded: Embedded | None = field(default=None)

    @cached_property
    def facts(self) -> Mapping[str, object]:
        """What the engine says of itself, asked once (`docker info`).

        Raises:
            EngineError: it does not answer.
        """
        command = (self.docker, "info", "--format", "{{json .}}")
        asked = process.run(command, environment=self.environment, timeout=ANSWER, check=False)
        try:
            facts: dict[str, object] = json.loads(asked.stdout)
        except ValueError:
            facts = {}
        if asked.returncode or not facts.get("ServerVersion"):
            reasons = [*asked.stderr.split("\n"), *_texts(facts.get("ServerErrors"))]
            reason = next((text for text in reasons if text.strip()), "no answer")
            raise EngineError(f"the engine cannot be used: {reason.strip()}")
        return facts

    @property
    def containerd_store(self) -> bool:
        """Whether the engine's own builder can export caches and attestations."""
        return bool(self.embedded) or "containerd" in json.dumps(self.facts.get("DriverStatus"))

    @property
    def host(self) -> str:
        """The engine's address, empty where it is docker's own to say."""
        return self.environment.get("DOCKER_HOST") or os.environ.get("DOCKER_HOST", "")

    @property
    def socket(self) -> Path | None:
        """The socket of the engine's API, None where the engine is on another machine."""
        host = self.host or ("" if _context() else DEFAULT_SOCKET)
        return Path(host.removeprefix("unix://")) if host.startswith("unix://") else None

    @cached_property
    def version(self) -> tuple[int, ...]:
        """The version of buildx, asked once."""
        return _ask_version(Path(self.buildx[0]))

    def owns(self, endpoint: str) -> bool:
        """Return whether an endpoint, as buildx writes it down, is this engine itself."""
        return endpoint in {"default", self.host or _context() or DEFAULT_SOCKET}

    @property
    def native(self) -> Platform:
        """The platform of the engine's machine."""
        local = self.socket is not None
        architecture = platform.machine() if local else str(self.facts.get("Architecture", ""))
        return Platform.parse(architecture, "the engine's machine")

    def for_builder(self, name: str) -> Client:
        """Return the client with which a builder of this name is found where it lives.

        A builder that the user, or a CI action, made stays in the user's own folder and is used
        there; all others are the suite's own, each in a folder of its own.
        """
        ours = places.builder_folder(name) / "buildx"
        theirs = users_builders()
        if (ours / "instances" / name).exists() or not (theirs / "instances" / name).exists():
            return self if name == "default" else self.with_builders_in(ours)
        return self.with_builders_in(theirs)

    def with_builders_in(self, folder: Path) -> Client:
        """Return the client with which buildx finds the builders that a folder has."""
        environment = {**self.environment, "BUILDX_CONFIG": str(folder)}
        return Client(self.docker, self.buildx, environment, self.embedded)


def find(
    choice: str,
    *,
    start: bool,
    announce: Callable[[str], None],
    emulate: Sequence[str] = (),
) -> Client:
    """Return the client of the engine to use.

    Args:
        choice: `auto`, `docker` (never embed) or `embedded` (always).
        start: start the embedded engine, or an emulation in it, if it is the one and does not run.
        emulate: architectures that the embedded engine has to run, natively or not.
        announce: is told, line by line, what starting does.

    Raises:
        MissingProgram: docker or buildx is not installed.
        EngineError: no engine can be had, or buildx is too old.
    """
    docker = shutil.which("docker")
    if choice == "docker" or (choice == "auto" and _docker_engine()):
        return _docker_client(docker)
    from build_tasks.engine import handle  # noqa: PLC0415 - not where Docker runs

    engine = handle.running()
    own = Platform.parse(platform.machine(), "this machine").architecture
    if engine is None or (start and set(emulate) - {own}):
        from build_tasks.engine import embedded  # noqa: PLC0415 - not where one runs

        _refuse_unless_possible(choice, docker, embedded.supported)
        if not start:
            raise EngineError(
                "the embedded engine does not run: start it with: invoke engine.start"
            )
        engine = embedded.start(announce=announce, emulate=emulate)
    environment = {"DOCKER_HOST": engine.host, **_own_builders()}
    return Client(str(engine.docker), (str(engine.buildx),), environment, engine)


def users_builders() -> Path:
    """Return the folder in which the user's own buildx keeps builders."""
    return Path(os.environ.get("BUILDX_CONFIG") or _docker_config() / "buildx")


def _docker_client(docker: str | None) -> Client:
    if docker is None:
        raise MissingProgram(f"docker is not installed: {_INSTALL}, or use --engine embedded")
    plugin = _plugin()
    if plugin is None:
        raise MissingProgram(f"docker has no buildx plugin: {_INSTALL}, or use --engine embedded")
    _check_version(plugin)
    return Client(docker, (str(plugin),), _own_builders())


def _own_builders() -> dict[str, str]:
    return {"BUILDX_CONFIG": str(places.cache_folder() / "buildx")}


def _docker_engine() -> bool:
    """Whether there is a Docker that the user means: one asked for, or one that runs here."""
    if os.environ.get("DOCKER_HOST") or _context():
        return True
    return _listens(DEFAULT_SOCKET)


def _refuse_unless_possible(choice: str, docker: str | None, supported: Callable[[], None]) -> None:
    try:
        supported()
    except EngineError as error:
        if choice == "embedded":
            raise
        reason = "no docker is installed" if docker is None else "no Docker Engine runs here"
        raise EngineError(f"{reason}, and the embedded engine cannot: {error}") from None


def _listens(address: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER)
        try:
            connection.connect(address.removeprefix("unix://"))
        except PermissionError:
            return True  # it is there, and the build will say that this user may not use it
        except OSError:
            return False
    return True


def _docker_config() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _context() -> str:
    """Return the docker context that the user chose, if it is not the default one."""
    chosen = os.environ.get("DOCKER_CONTEXT", "")
    if not chosen:
        try:
            config = json.loads((_docker_config() / "config.json").read_text(encoding="utf-8"))
            chosen = str(config.get("currentContext") or "")
        except (OSError, ValueError, AttributeError):
            chosen = ""
    return "" if chosen == "default" else chosen


def _plugin() -> Path | None:
    folders = [str(_docker_config() / "cli-plugins"), *_PLUGIN_FOLDERS]
    for folder in folders:
        plugin = Path(folder, "docker-buildx")
        if os.access(plugin, os.X_OK):
            return plugin
    on_path = shutil.which("docker-buildx") or shutil.which("buildx")
    return Path(on_path) if on_path else None


def _check_version(plugin: Path) -> None:
    """Raise unless this buildx is new enough; a plugin's version is asked once in its life."""
    known = places.cache_folder() / "buildx-version.json"
    stat = plugin.stat()
    identity = f"{plugin.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    try:
        version = json.loads(known.read_text(encoding="utf-8"))[identity]
    except (OSError, ValueError, KeyError, TypeError):
        version = _ask_version(plugin)
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps({identity: version}), encoding="utf-8")
    if tuple(version) < OLDEST_BUILDX:
        found, oldest = (".".join(map(str, parts)) for parts in (version, OLDEST_BUILDX))
        raise EngineError(f"buildx {found} is too old: {oldest} or newer is needed: {_INSTALL}")


def _ask_version(plugin: Path) -> tuple[int, ...]:
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - asked once

    try:
        # "github.com/docker/buildx 0.29.1+ds1 ...", with or without a v before the number
        said = process.run((str(plugin), "version"), timeout=ANSWER).stdout.split()
        return Version(said[1]).release
    except (IndexError, InvalidVersion):
        raise EngineError(f"{plugin} does not say its version as buildx does") from None
    except MissingProgram:
        raise
    except ImagesError as error:
        raise EngineError(f"{plugin} is no working buildx: {error}") from None


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
