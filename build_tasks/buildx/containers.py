"""Containers: those of one image that run commands and are removed together, and a single one."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from build_tasks import paths, process
from build_tasks.buildx.toolchain import Client
from build_tasks.process import Command, Completed

#: Keys that detach the terminal, which nobody presses. With docker's own, which begin with ^P, that
#: key would reach a shell only together with the next one.
_NO_KEYS = "ctrl-^,ctrl-^"
#: Seconds for a command in a container; Airflow's own take a minute under emulation.
TIMEOUT = 600.0


@dataclass(frozen=True)
class Containers:
    """Containers of one image; `clear` removes them all.

    The token distinguishes them from those of another run. They have the variables of
    `environment`, unless a command has others; those of another image do not get them.
    """

    client: Client
    image: str
    platform: str
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        text: str | None = None,
    ) -> Completed:
        """Run a command to its end in a new container, through the image's entrypoint."""
        interactive = () if text is None else ("--interactive",)
        options = ("--rm", *interactive, *self._options(self.platform, environment), *options)
        return self._docker("run", *options, self.image, *command, text=text)

    def start(self, *command: str, image: str = "", options: Sequence[str] = ()) -> Completed:
        """Start a container in the background, also of another image; its id is the output."""
        options = ("--detach", *self._options("" if image else self.platform), *options)
        return self._docker("run", *options, image or self.image, *command)

    def python(self, script: str) -> Completed:
        """Run a Python script in a new container, with the image's Python and no entrypoint."""
        return self.run("-", options=("--entrypoint", "python"), text=script)

    def execute(self, container: str, *command: str) -> Completed:
        """Run a command in a running container."""
        return self._docker("exec", container, *command)

    def wait(self, container: str) -> int:
        """Wait until a container ends, and return its exit status."""
        return int(self._docker("wait", container).stdout or 1)

    def logs(self, container: str, lines: int) -> Completed:
        """Return the last lines of a container's output."""
        return self._docker("logs", "--tail", str(lines), container)

    def export(self, file: Path) -> Completed:
        """Write all files of the image to a tar file."""
        created = self._docker("create", *self._options(self.platform), self.image, "true")
        if created.returncode:
            return created
        return self._docker("export", "--output", str(file), created.stdout.strip())

    def remove(self, *containers: str) -> None:
        """Stop and remove containers and their volumes."""
        self._docker("rm", "--force", "--volumes", *containers)

    def clear(self) -> None:
        """Remove the containers that are left."""
        listed = self._docker("ps", "--all", "--quiet", "--filter", f"label={self._label}")
        if containers := listed.stdout.split():
            self.remove(*containers)

    @property
    def _label(self) -> str:
        return f"airflow-images.verify={self.token}"

    def _options(self, platform: str, environment: Mapping[str, str] | None = None) -> list[str]:
        options = ["--name", f"airflow-images-{self.token}-{next(self._numbers)}"]
        options += ["--label", self._label]
        options += ["--platform", platform] if platform else []
        for name, value in {
            **(self.environment if platform else {}),
            **(environment or {}),
        }.items():
            options += ["--env", f"{name}={value}"]
        return options

    def _docker(self, *arguments: str, text: str | None = None) -> Completed:
        """Run a command of docker, whatever its exit status."""
        return process.run(
            (self.client.docker, *arguments),
            environment=self.client.environment,
            input=text,
            timeout=TIMEOUT,
            check=False,
        )


@dataclass(frozen=True)
class Foreground:
    """A container whose streams are those of this process.

    Args:
        image: the reference of the image, which is not pulled.
        platform: its platform.
        name: the name of the container.
        user: the user and the group, as numbers.
        labels: `NAME=VALUE`.
        environment: `NAME=VALUE`, or `NAME` for the value that this process has.
        mounts: values of `--mount`.
        ports: values of `--publish`.
        folder: the working directory; empty for that of the image.
        init: whether it needs an init process, because the image has none.
        stdin: whether it reads our standard input.
        terminal: whether it has a terminal, which is ours.
        command: the command; empty for that of the image.
    """

    image: str
    platform: str
    name: str
    user: str
    labels: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    folder: str = ""
    init: bool = False
    stdin: bool = False
    terminal: bool = False
    command: tuple[str, ...] = ()


def run_command(client: Client, container: Foreground) -> Command:
    """Return the command that runs a container to its end."""
    lists = {
        "--label": container.labels,
        "--env": container.environment,
        "--mount": container.mounts,
        "--publish": container.ports,
        "--workdir": (container.folder,) if container.folder else (),
        "--detach-keys": (_NO_KEYS,) if container.terminal else (),
    }
    flags = {
        "--init": container.init,
        "--interactive": container.stdin,
        "--tty": container.terminal,
    }
    return (
        *(client.docker, "run", "--pull", "never", "--platform", container.platform),
        *("--name", container.name, "--user", container.user),
        *(name for name, given in flags.items() if given),
        *(word for option, values in lists.items() for value in values for word in (option, value)),
        *(container.image, *container.command),
    )


def remove_command(client: Client, name: str) -> Command:
    """Return the command that ends a container, and removes it with its unnamed volumes."""
    return (client.docker, "rm", "--force", "--volumes", name)


def started(client: Client, name: str) -> bool:
    """Return whether a container that is over, and not removed yet, has started."""
    form = ("--format", "{{json .State}}")
    completed = process.run(
        (client.docker, "container", "inspect", *form, name),
        environment=client.environment,
        check=False,
    )
    # The time is that of Go's zero where it has not.
    return str(paths.parse_json(completed.stdout).get("StartedAt", "0001")) > "0002"
