"""Find the engine of a run: which docker, which buildx, with which environment.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from build_tasks import paths, process
from build_tasks.buildx import plugin
from build_tasks.buildx.plugin import INSTALL
from build_tasks.engine import packages, state
from build_tasks.engine.folders import engine_folders
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.errors import EngineError, MissingProgram
from build_tasks.inputs.dockerfile.inputs import EPOCH
from build_tasks.model.builder import DEFAULT
from build_tasks.model.matrix import Platform
from build_tasks.process import Announce

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
#: Seconds for an engine to answer a question.
ANSWER = 20.0

#: What buildx need not do. A context is a copy, so that a repository around it is not what is
#: built. Nobody reads the provenance in the metadata, which is asked for after every build. The
#: heap of a build that finds all cached is below 16 MB: collecting its garbage all the same takes
#: a fifth of the CPU.
_PLAIN = {"BUILDX_GIT_INFO": "0", "BUILDX_METADATA_PROVENANCE": "disabled", "GOGC": "400"}


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
    embedded: EmbeddedEngine | None = None

    @cached_property
    def facts(self) -> Mapping[str, object]:
        """What the engine says of itself, asked once (`docker info`).

        Raises:
            EngineError: it does not answer.
        """
        command = (self.docker, "info", "--format", "{{json .}}")
        completed = process.run(command, environment=self.environment, timeout=ANSWER, check=False)
        facts = paths.parse_json(completed.stdout)
        if completed.returncode or not facts.get("ServerVersion"):
            lines = [*completed.stderr.splitlines(), *(facts.get("ServerErrors") or [])]
            reason = next((line.strip() for line in lines if line.strip()), "no answer")
            raise EngineError(f"the engine cannot be used: {reason}")
        return facts

    @property
    def containerd_store(self) -> bool:
        """Whether the engine's own builder can export caches and attestations."""
        return bool(self.embedded) or "containerd" in json.dumps(self.facts.get("DriverStatus"))

    @property
    def rootless(self) -> bool:
        """Whether the user 0 of containers is the one that the engine runs as."""
        own = json.dumps(self.facts.get("SecurityOptions")) if not self.embedded else ""
        return "name=rootless" in own

    @property
    def host(self) -> str:
        """The engine's address, empty where it is docker's own to say."""
        return self.environment.get("DOCKER_HOST") or os.environ.get("DOCKER_HOST", "")

    @property
    def context(self) -> str:
        """The docker context that names the engine, empty where none does: DOCKER_HOST wins."""
        return "" if self.host else self.environment.get("DOCKER_CONTEXT", "")

    @property
    def socket(self) -> Path | None:
        """The socket of the engine's API, None where the engine is on another machine."""
        host = self.host or ("" if self.context else DEFAULT_SOCKET)
        return Path(host.removeprefix("unix://")) if host.startswith("unix://") else None

    @cached_property
    def version(self) -> tuple[int, ...]:
        """The version of buildx."""
        return plugin.version(Path(self.buildx[0]))

    def owns(self, endpoint: str) -> bool:
        """Return whether an endpoint, as buildx writes it down, is this engine itself."""
        return endpoint in {"default", self.host or self.context or DEFAULT_SOCKET}

    def builder(self, name: str) -> str:
        """Return the name by which buildx knows a builder.

        buildx calls an engine's own builder by the name of the docker context that names the
        engine. Only without a context is that name `default`.
        """
        return self.context if name == DEFAULT and self.context else name

    def with_builder(self, name: str) -> tuple[str, str]:
        """Return the option by which a command of buildx uses a builder."""
        return ("--builder", self.builder(name))

    @property
    def native(self) -> Platform:
        """The platform of the engine's machine."""
        local = self.socket is not None
        architecture = platform.machine() if local else str(self.facts.get("Architecture", ""))
        return Platform.parse(architecture, "the engine's machine")

    def beside(self, others: int) -> Client:
        """Return the client whose programs leave the cores to as many others at the same time.

        A build of buildx alone spreads over all cores; many of them wait for each other's threads:
        eight that the cache answers, on two cores, took 1.33 times as long as one bake and with one
        core each 1.23 times (medians of eight rounds).
        """
        if "GOMAXPROCS" in os.environ:
            return self
        return self.with_environment(GOMAXPROCS=str(max(1, (os.cpu_count() or 1) // (others + 1))))

    def with_environment(self, **variables: str) -> Client:
        """Return a client with more environment variables."""
        return replace(self, environment={**self.environment, **variables})


def find(
    choice: str,
    *,
    start: bool,
    announce: Announce,
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
    engine = state.running()
    own = Platform.parse(platform.machine(), "this machine").architecture
    if engine is None or (start and set(emulate) - {own}):
        try:
            packages.check_supported()
        except EngineError as error:
            if choice == "embedded":
                raise
            reason = "no Docker Engine runs here" if docker else "no docker is installed"
            raise EngineError(f"{reason}, and the embedded engine cannot start: {error}") from None
        if not start:
            raise EngineError(state.why_not_running())
        from build_tasks.engine import lifecycle  # noqa: PLC0415 - start-up time

        engine = lifecycle.start(announce=announce, emulate=emulate)
    state.attach(engine, announce)
    environment = {**engine.environment, **_environment()}
    return Client(str(engine.docker), (str(engine.buildx),), environment, engine)


def _docker_client(docker: str | None) -> Client:
    if docker is None:
        raise MissingProgram(f"docker is not installed: {INSTALL}, or use --engine embedded")
    buildx = plugin.find(paths.docker_config())
    if buildx is None:
        raise MissingProgram(f"docker has no buildx plugin: {INSTALL}, or use --engine embedded")
    plugin.check(buildx)
    # The context is fixed here, so that another terminal can change it while this run goes on.
    context = _context()
    environment = {**_environment(), **({"DOCKER_CONTEXT": context} if context else {})}
    return Client(docker, (str(buildx),), environment)


def _environment() -> dict[str, str]:
    """Return the variables for every command of docker and buildx; what the user has set stays."""
    plain = {name: text for name, text in _PLAIN.items() if name not in os.environ}
    # buildx makes a build argument of it, which every WORKDIR, COPY and ADD depends on: the time
    # is given to the image's output instead.
    hidden = {EPOCH: ""} if os.environ.get(EPOCH) else {}
    return {"BUILDX_CONFIG": str(paths.cache_folder() / "buildx"), **plain, **hidden}


def _docker_engine() -> bool:
    """Whether there is a Docker that the user means: one asked for, or one that runs here.

    The DOCKER_HOST that `engine.status` prints means the embedded engine.
    """
    if host := os.environ.get("DOCKER_HOST"):
        return host != f"unix://{engine_folders().socket}"
    return bool(_context()) or _listens(DEFAULT_SOCKET)


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


def _context() -> str:
    """Return the docker context in use, empty for the default one, as the docker CLI finds it."""
    if os.environ.get("DOCKER_HOST"):
        return ""
    config = paths.read_json(paths.docker_config() / "config.json")
    context = os.environ.get("DOCKER_CONTEXT") or config.get("currentContext")
    return context if isinstance(context, str) and context != "default" else ""
