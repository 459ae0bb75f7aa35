"""One build, said in full: everything that `buildx build` has to be told, and nothing run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from build_tasks.config.parsing import CLIENTS
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.model.cache import CachePlan, Compression
from build_tasks.model.matrix import Build, Platform
from build_tasks.plan.revision import Revision
from build_tasks.text.redaction import is_secret_name, redact

if TYPE_CHECKING:
    from build_tasks.inputs.fingerprint import Inputs
    from build_tasks.plan.airflow_source import Installation
    from build_tasks.publish.digests import Part

#: The variable that sets the time of what is built (reproducible-builds.org).
EPOCH = "SOURCE_DATE_EPOCH"
#: The id under which RUN steps find the CA bundle.
CA_BUNDLE = "ca-bundle"


class Output(StrEnum):
    """What becomes of the image; a build has one output."""

    LOAD = "load"
    PUSH = "push"
    DIGEST = "push-by-digest"
    NONE = "none"

    @property
    def pushes(self) -> bool:
        """Whether the image goes to a registry."""
        return self in {Output.PUSH, Output.DIGEST}


@dataclass(frozen=True)
class BuildSpec:
    """One build for one platform.

    Args:
        identity: the build's name, like `ci-3.11-amd64`.
        dockerfile: the Dockerfile.
        context: the folder whose files the Dockerfile may copy.
        platform: the platform to build for.
        tags: full references that the image gets; of one pushed by digest, when it is merged.
        arguments: the Dockerfile's arguments, in order.
        secrets: files that RUN steps may read, by id; they enter neither image nor cache key.
        contexts: folders that replace stages of the Dockerfile, by the stage's name.
        files: fingerprints of all that is sent, by path, as `MODE SHA`; those of a folder that
            replaces a stage as `STAGE:PATH`.
        labels: what the image says of itself.
        sbom: the image that lists the contents of a pushed image; none if empty.
        cache: what is read and written.
        output: what becomes of the image.
        metadata: the file for BuildKit's metadata of the build, as commands are shown.
        builder: the builder that builds.
        progress: BuildKit's display: auto, plain, tty, quiet or rawjson.
        image: the image's name, without a tag.
        also: further platforms, to load an image of several at once.
        inputs: what the image's label says that it is made of.
        part: what a merge has to know of an image that is pushed by digest.
        run: the run's name: what it writes about this build is in files of its own.
        skips: an image that the registry has is tagged in place of building the same again.
        stand_in: the tag that it is pushed to where the builder cannot push by digest.
        compression: how the layers of a pushed image are compressed.
        crowded: its builder has several nodes, and what asks it for the past asks them all.
        direct: it is pushed straight from the cache, and not by the engine that stores it first.
        strict_cache: a cache that is not read or not written is an error, after the image is made.
        refused: why it cannot be made, known before anything starts; empty if it can.
        epoch: the time of the image and its history (SOURCE_DATE_EPOCH), empty for the real one.

    Raises:
        UsageError: an argument looks like a secret, which would stay in the image's history.
    """

    identity: str
    dockerfile: Path
    context: Path
    platform: Platform
    tags: tuple[str, ...]
    arguments: tuple[tuple[str, str], ...]
    cache: CachePlan
    output: Output
    metadata: Path
    secrets: tuple[tuple[str, Path], ...] = field(default=())
    contexts: tuple[tuple[str, Path], ...] = field(default=())
    files: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    labels: tuple[tuple[str, str], ...] = field(default=())
    sbom: str = ""
    builder: str = "default"
    progress: str = "auto"
    image: str = ""
    also: tuple[Platform, ...] = ()
    inputs: Inputs | None = None
    part: Part | None = None
    stand_in: str = ""
    compression: Compression = Compression.ZSTD
    crowded: bool = False
    direct: bool = True
    strict_cache: bool = False
    skips: bool = False
    epoch: str = ""
    refused: str = ""
    run: str = ""

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """All platforms that this build is for."""
        return (self.platform, *self.also)

    @property
    def own_metadata(self) -> Path:
        """The file for BuildKit's metadata that no other run writes, of the same build."""
        return self.metadata.with_stem(f"{self.metadata.stem}-{self.run}".rstrip("-"))

    def __post_init__(self) -> None:
        for name, _ in self.arguments:
            if is_secret_name(name):
                raise UsageError(
                    f"build argument {name}: looks like a secret, and arguments stay in the "
                    "image's history: pass it as a BuildKit secret"
                )


def arguments(
    build: Build,
    settings: Settings,
    *,
    base_image: str,
    installation: Installation | None,
    revision: Revision,
) -> tuple[tuple[str, str], ...]:
    """Return the Dockerfile's arguments for a build; empty ones are left to the Dockerfile.

    Args:
        build: the image, its Python and its platform.
        settings: what was set.
        base_image: the reference of the base image.
        installation: how Airflow gets into a PROD image.
        revision: the commit that is built from, and the run that builds.

    Raises:
        UsageError: a value is or holds a secret, like a token as the id of the build.
    """
    own = _of_prod(build, settings, installation) if installation else _of_ci(build, settings)
    given = {
        "BASE_IMAGE": base_image,
        "AIRFLOW_PYTHON_VERSION": build.python,
        "AIRFLOW_UV_VERSION": settings.uv_version,
        "ADDITIONAL_DEV_APT_DEPS": " ".join(settings.dependencies_apt_dev),
        "ADDITIONAL_PYTHON_DEPS": " ".join(settings.dependencies_python),
        **own,
        # What changes with every commit comes last, here as in the Dockerfile.
        "BUILD_ID": revision.build_id,
        "COMMIT_SHA": revision.commit,
    }
    for name, value in given.items():
        if redact(value) != value:
            raise UsageError(
                f"build argument {name}: {redact(value)!r}: holds a secret (***), which would stay "
                "in the image: leave it out, or pass it as a BuildKit secret"
            )
    return tuple((name, value) for name, value in given.items() if value)


def _of_ci(build: Build, settings: Settings) -> dict[str, str]:
    return {
        "AIRFLOW_VERSION": settings.airflow_for(build.python),
        "AIRFLOW_EXTRAS": ",".join(settings.airflow_extras),
        "AIRFLOW_TEST_DEPS": " ".join(settings.ci_test_packages),
    }


def _of_prod(build: Build, settings: Settings, installation: Installation) -> dict[str, str]:
    from_sources = installation.constraints == "constraints-source-providers"
    clients = () if build.slim else settings.prod_clients
    runtime = [package for client in clients for package in CLIENTS[client]]
    return {
        "AIRFLOW_VERSION": installation.version,
        "AIRFLOW_EXTRAS": "" if build.slim else ",".join(settings.airflow_extras),
        "AIRFLOW_INSTALLATION_METHOD": installation.method,
        "AIRFLOW_PROVIDERS_FROM_SOURCES": "true" if from_sources else "",
        "AIRFLOW_CONSTRAINTS": installation.constraints,
        "AIRFLOW_PIP_VERSION": settings.pip_version,
        "ADDITIONAL_RUNTIME_APT_DEPS": " ".join([*runtime, *settings.dependencies_apt_runtime]),
    }
