"""The image to verify, found wherever it is, and what it has to hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_tasks import process
from build_tasks.buildx import docker, imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError, RegistryError, UsageError
from build_tasks.model.matrix import ImageKind, Platform, parse_python
from build_tasks.text.formatting import listed

#: Seconds for a large image to come from a registry.
PULL = 3600.0
#: Seconds for the engine to answer about an image.
ANSWER = 60.0
_LABEL = "org.apache.airflow."


@dataclass(frozen=True)
class Image:
    """An image that the engine has.

    Args:
        reference: what the engine finds it by.
        facts: what `docker image inspect` says of it.
    """

    reference: str
    facts: Mapping[str, Any]

    @property
    def platform(self) -> str:
        """The platform that the image says it is for."""
        return f"{self.facts.get('Os')}/{self.facts.get('Architecture')}"

    @property
    def config(self) -> Mapping[str, Any]:
        """What the image says of how it is run."""
        return self.facts.get("Config") or {}

    @property
    def labels(self) -> Mapping[str, str]:
        """The image's labels."""
        return self.config.get("Labels") or {}

    @property
    def python(self) -> str:
        """The Python that a label says it has; empty where none does."""
        return self.labels.get(f"{_LABEL}python.version", "")


@dataclass(frozen=True)
class Target:
    """An image, and what it has to hold.

    Args:
        client: the way to the engine.
        image: the image.
        kind: which of Airflow's images it is.
        python: its Python, as X.Y.
        platform: its platform.
        airflow: its release of Airflow.
        slim: without extras.
        constraints: the file of versions that it follows.
        extras: the extras of Airflow that were asked for.
        packages: further requirements that were asked for.
        budget: its greatest size in MB, 0 for any.
        base_image: an image of the same Debian, for the database that it is tried with.
        ca_bundle: CA bundle for what is fetched meanwhile.
        folder: where files of this verification go.
    """

    client: Client
    image: Image
    kind: ImageKind
    python: str
    platform: Platform
    airflow: str
    slim: bool
    constraints: Path
    extras: tuple[str, ...]
    packages: tuple[str, ...]
    budget: int
    base_image: str
    ca_bundle: Path | None
    folder: Path


@dataclass(frozen=True)
class Said:
    """What the labels of an image, and a person who knows better, say that it is."""

    kind: ImageKind
    python: str
    airflow: str
    slim: bool


def find(client: Client, reference: str, platform: Platform) -> Image:
    """Return an image that the engine has, or that a registry has for this platform.

    Raises:
        UsageError: it has no such image for this platform.
        ImagesError: neither the engine nor the registry has it.
    """
    found = find_local(client, reference)
    if found is None:
        reference = _pull(client, reference, platform)
        found = find_local(client, reference)
    if found is None:
        raise EngineError(f"{reference}: the engine pulled it and does not have it")
    return found


def find_local(client: Client, reference: str) -> Image | None:
    """Return an image that the engine has, None if it has none of that name.

    Raises:
        EngineError: the engine does not answer.
    """
    facts = docker.image(client, reference, timeout=ANSWER)
    return None if facts is None else Image(reference, facts)


def said(image: Image, kind: str | None, python: str | None) -> Said:
    """Return what an image says it is, unless a person says otherwise.

    Args:
        image: the image.
        kind: the kind that a person named.
        python: the Python that a person named.

    Raises:
        UsageError: nobody says it.
    """
    labels = image.labels
    component = labels.get(f"{_LABEL}image", "")
    kind = kind or {"airflow-ci": "ci", "airflow": "prod"}.get(component)
    if not kind:
        raise UsageError(
            f"{image.reference}: no label says which image it is: add --kind with one of "
            f"{listed(ImageKind)}"
        )
    python = python or image.python
    if not python:
        raise UsageError(f"{image.reference}: no label says which Python it has: add --python")
    return Said(
        ImageKind.parse(kind, "--kind"),
        parse_python(".".join(python.split(".")[:2]), "--python"),
        labels.get(f"{_LABEL}version", ""),
        labels.get(f"{_LABEL}slim") == "true",
    )


def _platform(described: Mapping[str, Any]) -> str:
    platform = described.get("platform") or {}  # not everything in an index is an image
    return f"{platform.get('os', 'unknown')}/{platform.get('architecture', 'unknown')}"


def _pull(client: Client, reference: str, platform: Platform) -> str:
    """Pull the manifest of one platform by its digest, so that no other is taken for it."""
    name = reference.partition("@")[0]
    try:
        raw = json.loads(imagetools.inspect(client, reference))
        has = [(_platform(one), str(one["digest"])) for one in raw.get("manifests") or ()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RegistryError(f"{reference}: the registry's answer is no manifest") from None
    if has:
        of_platform = [digest for name, digest in has if name == platform.value]
        if not of_platform:
            names = {name for name, _ in has} - {"unknown/unknown"}
            raise UsageError(
                f"{reference}: has nothing for {platform}: choose --platform of "
                f"{listed(sorted(names))}"
            )
        slash = name.rfind("/")
        colon = name.rfind(":")
        name = name[:colon] if colon > slash else name
        reference = f"{name}@{of_platform[0]}"
    command = (client.docker, "pull", "--quiet", "--platform", platform.value, reference)
    process.echo(command, client.environment)
    ended = process.run(command, environment=client.environment, timeout=PULL, check=False)
    if ended.returncode:
        raise RegistryError(f"{reference}: {(ended.stderr.strip().splitlines() or [''])[-1]}")
    return reference
