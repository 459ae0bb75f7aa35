"""Where a run builds: the engine, the names that follow from it, and what it lends to builds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from build_tasks.buildx import toolchain
from build_tasks.buildx.toolchain import Client
from build_tasks.config.settings import Settings
from build_tasks.errors import EngineError, ImagesError
from build_tasks.inputs import ca_bundle
from build_tasks.model import build, matrix
from build_tasks.model.builder import Driver
from build_tasks.model.matrix import Names

if TYPE_CHECKING:
    from build_tasks.builders.store import Stored

UPSTREAM_REGISTRY = "ghcr.io"


@dataclass(frozen=True)
class BuildHost:
    """Where a run builds: the engine, the settings and the names that follow from both."""

    client: Client
    settings: Settings
    names: Names

    @cached_property
    def stored(self) -> Stored | None:
        """The builder as buildx has written it down, None if it is the engine's own.

        Raises:
            EngineError: what stands there is not what buildx writes.
        """
        from build_tasks.builders import store  # noqa: PLC0415 - start-up time

        return store.of(self.client, self.settings.builder)

    @property
    def nodes(self) -> int:
        """How many nodes the builder has."""
        return len(self.stored.nodes) if self.stored else 1

    @property
    def uses_engine_builder(self) -> bool:
        """Whether the engine itself builds, whose builder cannot push without a tag."""
        defined = self.settings.builders.get(self.settings.builder)
        driver = self.stored.driver if self.stored else defined.driver if defined else Driver.DOCKER
        return driver == Driver.DOCKER

    @property
    def local(self) -> bool:
        """Whether the builder is an engine of this machine, which shares its network."""
        return self.uses_engine_builder and self.client.socket is not None


def find(settings: Settings, *, start: bool, announce: Callable[[str], None]) -> BuildHost:
    """Return the site that the settings mean.

    Args:
        settings: the effective settings.
        start: start the embedded engine if it is the one and does not run.
        announce: is told what starting does.

    Raises:
        ImagesError: no engine can be used.
    """
    foreign = tuple(platform.architecture for platform in settings.platforms)
    found = toolchain.find(settings.engine, start=start, emulate=foreign, announce=announce)
    return BuildHost(found.for_builder(settings.builder), settings, _names(settings, found))


def names(settings: Settings) -> Names:
    """Return the names that builds use, as far as they are known without starting an engine."""
    found = None
    if not settings.registry:
        with contextlib.suppress(ImagesError):
            found = toolchain.find(settings.engine, start=False, announce=lambda _: None)
    return _names(settings, found)


def _names(settings: Settings, found: Client | None) -> Names:
    registry = found.embedded.registry if found and found.embedded else UPSTREAM_REGISTRY
    return Names(settings.registry or registry, settings.repository, settings.branch)


def secrets(bundle: Path | None, host: BuildHost) -> tuple[tuple[str, Path], ...]:
    """Return the secrets that steps may read, by id: the CA bundle, where there is one.

    Args:
        bundle: the bundle that a person named.
        host: where a build runs.

    Raises:
        UsageError: the bundle is too big for BuildKit.
    """
    if bundle is None and host.client.embedded:
        bundle = host.client.embedded.ca_bundle
    if bundle is None and Path(os.environ.get("SSL_CERT_FILE", "")).is_file():
        bundle = Path(os.environ["SSL_CERT_FILE"])  # what this machine's own programs trust
    return ((build.CA_BUNDLE, ca_bundle.fitting(bundle)),) if bundle else ()


@dataclass(frozen=True)
class Base:
    """The base image of one Python.

    Args:
        reference: its name.
        refused: why there is none; empty if there is one.
    """

    reference: str
    refused: str = ""


def base_images(
    host: BuildHost,
    pythons: Iterable[str],
    platforms: tuple[matrix.Platform, ...],
    announce: Callable[[str], None],
    *,
    dry: bool,
) -> dict[str, Base]:
    """Return the base images: upstream's, or stand-ins where Docker Hub is out of reach.

    All are looked at before the first is made; one that cannot be had is no reason not to build
    the others.

    Args:
        host: where they are needed.
        pythons: their Pythons.
        platforms: the platforms that they have to be for.
        announce: is told what is made.
        dry: only say their names.

    Raises:
        ImagesError: none of them can be had.
    """
    embedded = host.client.embedded
    wanted = [*dict.fromkeys(pythons)]
    if embedded is None or embedded.hub or host.settings.origins["base.image"] != "default":
        image = host.settings.base_image
        return {python: Base(image.replace("{python}", python)) for python in wanted}
    from build_tasks.engine import images  # noqa: PLC0415 - the embedded engine's

    found: dict[str, Base] = {}
    errors: list[EngineError] = []

    def note(python: str, find: Callable[[], str]) -> None:
        try:
            found[python] = Base(find())
        except EngineError as error:
            errors.append(error)
            found[python] = Base(f"debian-python:{python}", str(error))

    for python in wanted:
        note(python, partial(images.python_reference, embedded, python))
    architectures = [platform.architecture for platform in platforms]
    for python in () if dry else [one for one in wanted if not found[one].refused]:
        note(python, partial(images.ensure_python, embedded, python, architectures, announce))
    if len(errors) == len(wanted):
        raise errors[0]
    return found
