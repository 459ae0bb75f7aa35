"""Run things in the image, and take its files out."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from build_tasks import process
from build_tasks.process import Completed
from build_tasks.verify.target import Target

#: Seconds for a command in the image; Airflow's own take a minute on an emulated machine.
PATIENCE = 600.0
_LABEL = "airflow-images.verify"


@dataclass(frozen=True)
class Containers:
    """The containers of one verification, which all go with `clear`.

    Args:
        target: the image.
        token: tells them from those of another verification.
    """

    target: Target
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def docker(self, *words: str, timeout: float = PATIENCE, text: str | None = None) -> Completed:
        """Run one command of docker, whatever comes of it."""
        client = self.target.client
        return process.run(
            (client.docker, *words),
            environment=client.environment,
            input=text,
            timeout=timeout,
            check=False,
        )

    def options(self, environment: Mapping[str, str] | None = None) -> list[str]:
        """Return the options that each of the containers is created with."""
        name = f"airflow-images-{self.token}-{next(self._numbers)}"
        options = ["--name", name, "--label", f"{_LABEL}={self.token}"]
        options += ["--platform", self.target.image.platform]
        for key, value in (environment or {}).items():
            options += ["--env", f"{key}={value}"]
        return options

    def run(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        text: str | None = None,
    ) -> Completed:
        """Run a command in a new container, through the image's entrypoint, to its end."""
        interactive = ["--interactive"] if text is not None else []
        return self.docker(
            *("run", "--rm", *interactive, *self.options(environment), *options),
            *(self.target.image.reference, *command),
            text=text,
        )

    def python(self, script: str) -> Completed:
        """Run a Python script in a new container, with the image's Python and no entrypoint."""
        options = ("--entrypoint", "python")
        return self.run("-", options=options, text=script)

    def export(self, file: Path) -> Completed:
        """Write all files of the image to a tar file."""
        created = self.docker("create", *self.options(), self.target.image.reference, "true")
        if created.returncode:
            return created
        return self.docker("export", "--output", str(file), created.stdout.strip())

    def clear(self) -> None:
        """Remove what is left of the containers."""
        left = self.docker("ps", "--all", "--quiet", "--filter", f"label={_LABEL}={self.token}")
        if left.stdout.split():
            self.docker("rm", "--force", "--volumes", *left.stdout.split())
