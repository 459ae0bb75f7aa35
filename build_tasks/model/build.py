"""One build, said in full: everything that `buildx build` has to be told, and nothing run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from build_tasks.errors import UsageError
from build_tasks.model.cache import CachePlan, Compression
from build_tasks.model.matrix import Platform
from build_tasks.text.redaction import is_secret_name

if TYPE_CHECKING:
    from build_tasks.inputs.fingerprint import Inputs
    from build_tasks.model.digest_file import Part

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
