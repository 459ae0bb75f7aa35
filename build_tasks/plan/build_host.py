"""The host of a run: its engine and builder, and the names, secrets and base images of builds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from build_tasks.builders import store
from build_tasks.buildx import toolchain
from build_tasks.buildx.toolchain import Client
from build_tasks.config.settings import Settings
from build_tasks.engine import stand_ins
from build_tasks.errors import EngineError, ImagesError
from build_tasks.inputs import ca_bundle
from build_tasks.model.build import CA_BUNDLE, Secret
from build_tasks.model.builder import Builder, Driver
from build_tasks.model.matrix import Names, Platform
from build_tasks.plan import step_secrets
from build_tasks.process import Announce

UPSTREAM_REGISTRY = "ghcr.io"


@dataclass(frozen=True)
class BuildHost:
    """The engine of a run, the settings, and the names of images and caches."""

    client: Client
    settings: Settings
    names: Names

    @cached_property
    def stored(self) -> Builder | None:
        """The builder as buildx stores it, None if it is the engine's own.

        Raises:
            ImagesError: the file is not one of buildx, or cannot be read.
        """
        return store.of(self.client, self.settings.builder)

    @property
    def nodes(self) -> int:
        """The number of nodes of the builder."""
        return len(self.stored.nodes) if self.stored else 1

    @property
    def uses_engine_builder(self) -> bool:
        """Whether the engine itself builds (driver docker), which cannot push without a tag."""
        builder = self.stored or self.settings.builders.get(self.settings.builder)
        return not builder or builder.driver == Driver.DOCKER

    @property
    def local(self) -> bool:
        """Whether the builder is an engine of this machine, which shares its network."""
        return self.uses_engine_builder and self.client.socket is not None

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms to build for: by default, the engine's own."""
        return self.settings.platforms or (self.client.native,)

    @cached_property
    def ca_bundle(self) -> Path | None:
        """The CA bundle for RUN steps, None for that of the base image.

        Raises:
            UsageError: the bundle does not exist, or has no certificate.
        """
        bundle = self.settings.ca_bundle_file
        if bundle is None and self.client.embedded:
            bundle = self.client.embedded.ca_bundle
        if bundle is None and Path(os.environ.get("SSL_CERT_FILE", "")).is_file():
            bundle = Path(os.environ["SSL_CERT_FILE"])  # what programs of this machine trust
        return ca_bundle.shrink(bundle) if bundle else None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets of RUN steps: the CA bundle, unless it is too large, and the user's.

        Raises:
            UsageError: the CA bundle does not exist, or has no certificate.
        """
        bundle = self.ca_bundle
        own = (Secret(CA_BUNDLE, bundle),) if bundle and ca_bundle.fits(bundle) else ()
        return (*own, *step_secrets.secrets(self.settings))

    @property
    def contexts(self) -> tuple[tuple[str, Path], ...]:
        """The build context with a CA bundle that is too large for a secret.

        It changes nothing of an image, so it is no part of the fingerprint.

        Raises:
            UsageError: the CA bundle does not exist, or has no certificate.
        """
        bundle = self.ca_bundle
        return ((CA_BUNDLE, bundle.parent),) if bundle and not ca_bundle.fits(bundle) else ()


def find(settings: Settings, *, start: bool, announce: Announce) -> BuildHost:
    """Return the host that the settings select; `start` its embedded engine if it does not run.

    Raises:
        ImagesError: no engine is available.
    """
    foreign = tuple(platform.architecture for platform in settings.platforms)
    client = toolchain.find(settings.engine, start=start, emulate=foreign, announce=announce)
    own = store.client_for(client, settings.builder)
    return BuildHost(own, settings, names(settings, client))


def names(settings: Settings, client: Client | None = None) -> Names:
    """Return the names of images and caches, as far as known without starting an engine."""
    if not settings.registry and not client:
        with contextlib.suppress(ImagesError):
            client = toolchain.find(settings.engine, start=False, announce=lambda _: None)
    registry = client.embedded.registry if client and client.embedded else UPSTREAM_REGISTRY
    return Names(settings.registry or registry, settings.repository, settings.branch)


@dataclass(frozen=True)
class Base:
    """The base image of one Python: its reference, and why it is not available, if so."""

    reference: str
    error: EngineError | None = None


def base_images(
    host: BuildHost,
    pythons: Iterable[str],
    platforms: Sequence[Platform],
    announce: Announce,
    *,
    dry: bool,
) -> dict[str, Base]:
    """Return the base images: upstream's, or placeholders where Docker Hub is out of reach.

    All are checked before the first one is made; a dry run makes none. If some are not available,
    images with another base can still be built.

    Raises:
        EngineError: no base image is available.
    """
    embedded, image = host.client.embedded, host.settings.base_image
    pythons = dict.fromkeys(pythons)
    if embedded is None or embedded.hub or host.settings.origins["base.image"] != "default":
        return {python: Base(image.replace("{python}", python)) for python in pythons}

    def ensure(python: str) -> str:
        architectures = [platform.architecture for platform in platforms]
        return stand_ins.ensure_python(embedded, python, architectures, announce)

    bases = {python: Base("") for python in pythons}
    check = partial(stand_ins.python_reference, embedded)
    for find_reference in (check,) if dry else (check, ensure):
        for python in [python for python, base in bases.items() if not base.error]:
            try:
                bases[python] = Base(find_reference(python))
            except EngineError as error:
                bases[python] = Base(f"debian-python:{python}", error)
    errors = [base.error for base in bases.values() if base.error]
    if len(errors) == len(bases):
        raise errors[0]
    return bases
