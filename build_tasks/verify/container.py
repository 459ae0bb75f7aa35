"""Run commands in containers of the image, and export its files."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from build_tasks import process
from build_tasks.buildx import docker
from build_tasks.process import Command, Completed
from build_tasks.verify.target import Target

#: Seconds for a command in a container; Airflow's own take a minute under emulation.
TIMEOUT = 600.0
_LABEL = "airflow-images.verify"


@dataclass(frozen=True)
class Containers:
    """The containers of one verification; `clear` removes them all.

    Args:
        target: the image.
        token: distinguishes them from those of another verification.
    """

    target: Target
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def execute(self, command: Command, text: str | None = None) -> Completed:
        """Run a command of docker, whatever its exit status."""
        environment = self.target.client.environment
        return process.run(
            command, environment=environment, input=text, timeout=TIMEOUT, check=False
        )

    def run(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        text: str | None = None,
    ) -> Completed:
        """Run a command to its end in a new container, through the image's entrypoint."""
        interactive = () if text is None else ("--interactive",)
        client, image = self.target.client, self.target.image.reference
        options = ("--rm", *interactive, *self._options(environment), *options)
        return self.execute(docker.run_command(client, image, options, command), text)

    def start(
        self,
        *command: str,
        image: str = "",
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> Completed:
        """Start a container in the background, also of another image; its id is the output."""
        platform = "" if image else self.target.image.platform
        options = ("--detach", *self._options(environment, platform), *options)
        image = image or self.target.image.reference
        return self.execute(docker.run_command(self.target.client, image, options, command))

    def python(self, script: str) -> Completed:
        """Run a Python script in a new container, with the image's Python and no entrypoint."""
        return self.run("-", options=("--entrypoint", "python"), text=script)

    def export(self, file: Path) -> Completed:
        """Write all files of the image to a tar file."""
        client, image = self.target.client, self.target.image.reference
        created = self.execute(docker.create_command(client, image, self._options()))
        if created.returncode:
            return created
        return self.execute(docker.export_command(client, created.stdout.strip(), file))

    def clear(self) -> None:
        """Remove the containers that are left."""
        client = self.target.client
        left = self.execute(docker.list_command(client, f"{_LABEL}={self.token}")).stdout.split()
        if left:
            self.execute(docker.remove_command(client, left))

    def _options(
        self, environment: Mapping[str, str] | None = None, platform: str | None = None
    ) -> Sequence[str]:
        return docker.container_options(
            f"airflow-images-{self.token}-{next(self._numbers)}",
            f"{_LABEL}={self.token}",
            self.target.image.platform if platform is None else platform,
            environment or {},
        )
