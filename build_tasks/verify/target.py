"""The image to verify, and what it has to contain."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_tasks import process
from build_tasks.buildx import classification, docker, imagetools
from build_tasks.buildx.containers import Containers
from build_tasks.buildx.toolchain import Client
from build_tasks.config import image_tables, parsing
from build_tasks.errors import EngineError, UsageError, VerificationError
from build_tasks.model import own_image
from build_tasks.model.build import BuildInputs
from build_tasks.model.labels import UID
from build_tasks.model.matrix import Build, ImageKind, Platform, parse_python
from build_tasks.model.own_image import OwnImage
from build_tasks.text.formatting import listed

#: Seconds to pull a large image.
PULL = 3600.0
#: Seconds for the engine to answer.
ANSWER = 60.0
#: The label with the name of an own image.
_NAME = "image.name"
#: The variables by which the entrypoint knows that a database is set.
_DATABASE = re.compile(r"AIRFLOW__(?:DATABASE|CORE)__SQL_ALCHEMY_CONN\w*|AIRFLOW_CONFIG")
_NO_IMAGES: Mapping[str, OwnImage] = {}
_VERSIONS = """
import json, sys
from importlib.metadata import version
print(json.dumps(["%d.%d" % sys.version_info[:2], version("apache-airflow")]))
"""


@dataclass
class Image:
    """An image of the engine."""

    reference: str  # its name, or its digest
    facts: Mapping[str, Any]  # what `docker image inspect` prints

    def __post_init__(self) -> None:
        self.platform = f"{self.facts.get('Os')}/{self.facts.get('Architecture')}"
        #: The configuration of its containers.
        self.config: Mapping[str, Any] = self.facts.get("Config") or {}
        self.labels: Mapping[str, str] = self.config.get("Labels") or {}
        # What its labels say, or "": its kind, its name, its Python, its Airflow, its user.
        self.kind = {"airflow-ci": "ci", "airflow": "prod"}.get(self.label("image"), "")
        self.name = self.label(_NAME) or self.kind
        self.python = self.label("python.version")
        self.airflow = self.label("version")
        self.uid = self.label("uid") or str(UID)
        self.slim = self.label("slim") == "true"

    def label(self, name: str) -> str:
        """Return the text of an Airflow label, or ""."""
        return self.labels.get(f"org.apache.airflow.{name}", "")


@dataclass(frozen=True)
class Target:
    """An image, and what it has to contain."""

    client: Client
    image: Image
    build: Build
    airflow: str  # the version
    constraints: Path  # of its packages
    extras: tuple[str, ...]  # of Airflow
    packages: tuple[str, ...]  # further requirements
    budget: int  # its maximum size in MB, 0 for any
    bytecode: str  # the setting prod.bytecode
    services: BuildInputs  # of the PostgreSQL and Redis that it is tried with
    folder: Path  # for temporary files
    contract: bool = False  # whether it is any image, of which only the documented is checked
    checkout: bool = False  # whether its Airflow is a checkout, and all of it is in `packages`
    additional: tuple[str, ...] = ()  # those of `packages` that the project asks for
    own: tuple[OwnImage, ...] = ()  # the own images that it consists of, the lowest first
    own_pins: frozenset[str] = frozenset()  # packages whose versions own images decide
    checks: tuple[Path, ...] = ()  # the project's files with checks, the lowest image's first
    other_dockerfile: bool = False  # whether the project's Dockerfile makes its CI or PROD image
    foreign: bool = False  # whether it has no Airflow, because that Dockerfile installs none

    @property
    def arbitrary(self) -> bool:
        """Whether a Dockerfile or script of the project may have put anything into it."""
        scripted = any(image.dockerfile or image.build_script for image in self.own)
        return self.other_dockerfile or scripted

    @property
    def names_database(self) -> bool:
        """Whether a variable that the project adds names the database, or a file that may do so."""
        names = {entry.partition("=")[0] for entry in self.image.config.get("Env") or ()}
        return bool(self.own or self.other_dockerfile) and any(map(_DATABASE.fullmatch, names))


def find(client: Client, reference: str, platform: Platform) -> Image:
    """Return an image of the engine; if the engine does not have it, pull it for a platform.

    Raises:
        UsageError: the registry has the image, but not for this platform.
        ImagesError: neither the engine nor the registry has it.
    """
    image = find_local(client, reference)
    if image is None:
        reference = _pull(client, reference, platform)
        image = find_local(client, reference)
    if image is None:
        raise EngineError(f"{reference}: the engine does not have the image that it pulled")
    return image


def versions(client: Client, image: Image) -> tuple[str, str]:
    """Return the versions of Python, as X.Y, and of Airflow that an image has.

    Raises:
        VerificationError: it has no Airflow that its Python finds.
    """
    containers = Containers(client, image.reference, image.platform)
    try:
        completed = containers.python(_VERSIONS)
    finally:
        containers.clear()
    try:
        python, airflow = json.loads(completed.stdout)
    except ValueError:
        reason = (completed.stderr.strip().splitlines() or ["python prints no version"])[-1]
        raise VerificationError(f"{image.reference}: has no Airflow: {reason}") from None
    return python, airflow


def find_local(client: Client, reference: str) -> Image | None:
    """Return an image of the engine, None if the engine does not have it.

    Raises:
        EngineError: the engine does not answer.
    """
    facts = docker.image(client, reference, timeout=ANSWER)
    return None if facts is None else Image(reference, facts)


def identify(
    image: Image,
    platform: Platform,
    name: str | None = None,
    python: str | None = None,
    images: Mapping[str, OwnImage] = _NO_IMAGES,
) -> Build:
    """Return which build made an image, by its labels, or by a name and a Python instead of those.

    Args:
        image: the image.
        platform: its platform.
        name: `ci`, `prod`, or the name of an own image.
        python: the version, X.Y.
        images: the own images by name.

    Raises:
        UsageError: a label is missing, or has no name of an image; or the name is unknown.
    """
    kind, python = image.kind, python or image.python
    if name:
        name = parsing.Choice("image", (*map(str, ImageKind), *images))(name, "--kind")
        kind = own_image.kind(images, name).value
    if not kind:
        raise UsageError(
            f"{image.reference}: no label says which image it is: add --kind with one of "
            f"{listed((*ImageKind, *images))}"
        )
    if not python:
        raise UsageError(f"{image.reference}: no label says which Python it has: add --python")
    name = name or image_tables.parse_name(
        image.name, f"{image.reference}: label org.apache.airflow.{_NAME}"
    )
    own = "" if name in {*ImageKind} else name
    return Build(
        ImageKind(kind),
        parse_python(".".join(python.split(".")[:2]), "--python"),
        platform,
        slim=image.slim and not own,  # an own image has the label of the slim one below
        name=own,
    )


def _pull(client: Client, reference: str, platform: Platform) -> str:
    """Pull an image by the digest of its platform, and return that reference."""
    index = imagetools.index(client, reference)
    if index.platforms:
        digests = dict(reversed(index.platforms))
        if platform not in digests:
            names = sorted(digests.keys() - {"unknown/unknown"})
            raise UsageError(
                f"{reference}: has no image for {platform}: choose --platform of {listed(names)}"
            )
        reference = f"{imagetools.name_of(reference)}@{digests[platform]}"
    command = docker.pull_command(client, reference, platform)
    process.echo(command, client.environment)
    completed = process.run(command, environment=client.environment, timeout=PULL, check=False)
    if completed.returncode:
        raise classification.of_registry(completed, reference)
    return reference
