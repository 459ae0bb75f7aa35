"""The host of a run: its engine and builder, and the names, secrets and base images of builds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from build_tasks import process
from build_tasks.builders import store
from build_tasks.buildx import imagetools, toolchain
from build_tasks.buildx.toolchain import Client
from build_tasks.config.settings import Settings
from build_tasks.engine import stand_ins
from build_tasks.errors import EngineError, ImagesError, UsageError
from build_tasks.inputs import base_lock, ca_bundle
from build_tasks.inputs.base_lock import LockedBase
from build_tasks.model.build import CA_BUNDLE, Secret
from build_tasks.model.builder import DEFAULT, Builder, Driver
from build_tasks.model.matrix import Names, Platform
from build_tasks.plan import step_secrets
from build_tasks.process import Announce
from build_tasks.text import hints
from build_tasks.text.formatting import listed

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
    """The base image of one Python.

    Args:
        reference: its reference.
        error: why it is not available, if so.
        digest: the digest of its index, if builds stand on that one alone.
        fingerprint: its name and the fingerprint of its inputs, if the same project makes it.
    """

    reference: str
    error: EngineError | None = None
    digest: str = ""
    fingerprint: str = ""

    @property
    def pinned(self) -> str:
        """Its reference, with the digest if that is decided."""
        return f"{self.reference}@{self.digest}" if self.digest else self.reference


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
    images with another base can still be built. Those of base.lock are not looked for.

    Raises:
        EngineError: no base image is available.
        UsageError: base.lock is to be used, and lacks one.
    """
    embedded = host.client.embedded
    pythons = dict.fromkeys(pythons)
    if not pythons:
        return {}
    if host.settings.locked:
        entries = base_lock.read(host.settings.project.root)
        return {python: _locked(host, python, platforms, entries) for python in pythons}
    if embedded is None or embedded.hub or not _may_stand_in(host):
        return {python: Base(_named(host, python)) for python in pythons}

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


def pin(host: BuildHost, bases: Mapping[str, Base]) -> dict[str, Base]:
    """Return the base images with the digests of their indexes, where a registry says them.

    The builds for several platforms then stand on one index, also if its tag moves meanwhile. An
    error is left to the builds, which may reach more than this machine does.
    """
    name = host.settings.builder
    builder = name if store.exists(name) or store.is_users(name) else DEFAULT

    def look_up(base: Base) -> Base:
        if base.error or base.digest or "@" in base.reference:
            return base
        try:
            found = imagetools.index(host.client, base.reference, builder)
        except ImagesError:
            return base
        return replace(base, digest=found.digest)

    if not bases:
        return {}  # each Dockerfile names its own
    with process.pool(len(bases)) as pool:
        return dict(zip(bases, pool.map(look_up, bases.values()), strict=True))


def _named(host: BuildHost, python: str) -> str:
    """Return the reference of the base image that the settings name."""
    return host.settings.base_image.replace("{python}", python)


def _may_stand_in(host: BuildHost) -> bool:
    """Return whether a placeholder may be the base image: not where somebody named one."""
    return host.settings.origins["base.image"] == "default"


def _locked(
    host: BuildHost, python: str, platforms: Sequence[Platform], entries: Mapping[str, LockedBase]
) -> Base:
    """Return the base image that base.lock has for a Python.

    Raises:
        UsageError: it has none, lacks a platform, or is of another image than the settings name.
    """
    place = host.settings.origins["locked"]
    again = f"run: {hints.task('base.update', '--python', python)}"
    if python not in entries:
        locked = listed(entries) or "no Python"
        raise UsageError(f"{place}: {base_lock.FILE} has {locked}, not {python}: {again}")
    entry = entries[python]
    missing = [platform for platform in platforms if platform.value not in entry.platforms]
    if missing:
        raise UsageError(
            f"{place}: {base_lock.FILE} has Python {python} for {listed(entry.platforms)}, not "
            f"for {listed(missing)}: {again}"
        )
    valid, embedded = [_named(host, python)], host.client.embedded
    if embedded and _may_stand_in(host):
        valid.append(f"{embedded.registry}/debian-python:{python}")
    if entry.reference not in valid:
        raise UsageError(
            f"{place}: {base_lock.FILE} has {entry.reference} for Python {python}, not {valid[0]} "
            f"(base.image, {host.settings.origins['base.image']}): {again}"
        )
    return Base(entry.reference, digest="" if "@" in entry.reference else entry.digest)
