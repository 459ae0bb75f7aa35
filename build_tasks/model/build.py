"""One build: its inputs, its caches, its output and how it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from build_tasks.errors import EngineError
from build_tasks.inputs.fingerprint import BASE_ARGUMENT, Inputs
from build_tasks.model.aliases import FileHashes, Pairs
from build_tasks.model.cache import CachePlan, Compression
from build_tasks.model.matrix import Build, Platform

#: The id of the secret with the CA bundle for RUN steps.
CA_BUNDLE = "ca-bundle"
#: The ids of the secret with the script that sets apt's sources, and of the user's with passwords
#: for apt (apt_auth.conf).
APT, APT_AUTH = "apt", "apt-auth"
#: The ids of the secrets with variables of uv and pip, and with credentials of indexes (netrc).
INDEX, INDEX_CREDENTIALS = "index", "index-credentials"
#: The ids of the suite's own secrets, with the settings that they come from.
OWN_SECRETS: Mapping[str, str] = {
    APT: "apt.mirror",
    CA_BUNDLE: "ca-bundle",
    INDEX: "index.default",
    INDEX_CREDENTIALS: "index.default",
}


class Output(StrEnum):
    """What happens to the image; a build has one output."""

    LOAD = "load"
    PUSH = "push"
    DIGEST = "push-by-digest"
    NONE = "none"

    @property
    def pushes(self) -> bool:
        """Whether the image goes to a registry."""
        return self in {Output.PUSH, Output.DIGEST}


@dataclass(frozen=True)
class Secret:
    """A secret that RUN steps can read by its id; it enters neither image nor cache key.

    It comes from a file or from an environment variable, never from a command line. The variable
    is the user's, or it is set for buildx alone, to the value.
    """

    id: str
    file: Path | None = None
    variable: str = ""
    value: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Return its id and its place, which are no secret."""
        return f"{self.id} from {self.file or self.variable}"


@dataclass(frozen=True)
class BuildInputs:
    """What goes into a build.

    Args:
        target: the stage of the Dockerfile that is built; empty for the last one.
        base_argument: the build argument with the image that the build stands on.
        own_base: the base image that the Dockerfile itself names, if no argument does.
        secrets: what RUN steps can read without a trace in the image.
        ssh: agents and keys for RUN steps with an SSH mount, in buildx's syntax.
        base_digest: the digest of the base image's index, if the build stands on that one alone.
        base_context: the build context in the place of the base image, like oci-layout://FOLDER.
        base_fingerprint: the name and fingerprint of the base image, if the same project makes it.
        pull: whether the references of base images are resolved in their registries.
        contexts: named build contexts, which replace stages of the Dockerfile.
        files: hashes of all files of the contexts.
        content: what the fingerprint in the image's label is made of.
    """

    dockerfile: Path
    context: Path
    arguments: Pairs = ()
    target: str = ""
    base_argument: str = BASE_ARGUMENT
    own_base: str = ""
    base_digest: str = ""
    base_context: str = ""
    base_fingerprint: str = ""
    pull: bool = True
    secrets: tuple[Secret, ...] = ()
    ssh: tuple[str, ...] = ()
    contexts: tuple[tuple[str, Path], ...] = ()
    files: FileHashes = field(default_factory=dict, repr=False, hash=False)
    labels: Pairs = ()
    content: Inputs | None = None

    @property
    def base(self) -> str:
        """The reference of the base image, with its digest if that is decided."""
        reference = self.own_base or dict(self.arguments).get(self.base_argument, "")
        return f"{reference}@{self.base_digest}" if self.base_digest else reference

    @property
    def registry_base(self) -> str:
        """The reference by which a registry has the base image."""
        prefix, context = "docker-image://", self.base_context
        return context.removeprefix(prefix) if context.startswith(prefix) else self.base

    @property
    def final_arguments(self) -> Pairs:
        """The build arguments as buildx gets them."""
        return tuple(
            (name, self.base if name == self.base_argument and not self.own_base else value)
            for name, value in self.arguments
        )

    @property
    def secret_variables(self) -> dict[str, str]:
        """The variables that buildx needs for the secrets, and that nobody else has."""
        return {secret.variable: secret.value for secret in self.secrets if secret.value}


@dataclass(frozen=True)
class DigestFile:
    """An image for one platform that was pushed by digest, without a tag.

    Args:
        image: the name of the image without a tag.
        commit: the commit that it was built from, or "".
        base: the digest of the base image's index, or "" if it is not known.
        digest: its digest in the registry; empty before it was pushed.
        file: the file that records the digest, None before it was written.
    """

    build: Build
    image: str
    airflow: str
    commit: str
    digest: str = ""
    base: str = ""
    file: Path | None = None

    @property
    def identity(self) -> str:
        """The name of the build."""
        return self.build.identity

    @property
    def reference(self) -> str:
        """The image by its digest."""
        return f"{self.image}@{self.digest}"


@dataclass(frozen=True)
class Candidate:
    """An image that a build may take instead of making the same one again.

    Args:
        reference: the image, by its tag.
        cache: the cache reference that has to have its layers; empty if there is none in a
            registry, so that the image is not taken. None for an image under the build's own name,
            of which the layers on top of the base are not compared.
    """

    reference: str
    cache: str | None = None


@dataclass(frozen=True)
class ReusePlan:
    """The images that a build may take, in order, and the seconds in which that has to be done."""

    candidates: tuple[Candidate, ...] = ()
    deadline: float = 0.0


@dataclass(frozen=True)
class ImageOutput:
    """What happens to the image of a build.

    Args:
        image: the image's name, without a tag.
        branch: the branch that the image is named after.
        tags: references that the image gets; a merge gives those of an image pushed by digest.
        placeholder_tag: the tag to push to where the builder cannot push by digest.
        digest_file: what a merge needs to know of an image that is pushed by digest.
        extra_platforms: further platforms, to load a multi-platform image.
        push_from_cache: push straight from the build cache; the engine does not store the image.
        skip_unchanged: tag an up-to-date image of the registry instead of building.
        reuse: the images that the build may take instead.
        sbom: the image of the SBOM generator for a pushed image; empty for no SBOM.
        epoch: the time of the image and its history (SOURCE_DATE_EPOCH); empty for the real one.
        layout: the folder that also gets the image (an OCI layout), for builds that stand on it.
    """

    kind: Output
    image: str = ""
    branch: str = ""
    tags: tuple[str, ...] = ()
    placeholder_tag: str = ""
    digest_file: DigestFile | None = None
    extra_platforms: tuple[Platform, ...] = ()
    push_from_cache: bool = True
    skip_unchanged: bool = False
    reuse: ReusePlan = ReusePlan()
    compression: Compression = Compression.ZSTD
    sbom: str = ""
    epoch: str = ""
    layout: Path | None = None


@dataclass(frozen=True)
class RunOptions:
    """How a build runs; nothing here changes the image.

    Args:
        metadata: the file for BuildKit's metadata, as messages name it.
        progress: BuildKit's display: auto, plain, tty, quiet or rawjson.
        run_id: names the run, whose files are its own.
        multi_node: the builder has several nodes: `buildx history` would query every one.
        strict_cache: fail, after the build, if a cache was not read or not written.
        refused: why the build cannot run, known before anything starts; None if it can.
    """

    metadata: Path
    builder: str = "default"
    progress: str = "auto"
    run_id: str = ""
    multi_node: bool = False
    strict_cache: bool = False
    refused: EngineError | None = None

    @property
    def own_metadata(self) -> Path:
        """The metadata file of this run, which no other run writes."""
        return self.metadata.with_stem(f"{self.metadata.stem}-{self.run_id}".rstrip("-"))


@dataclass(frozen=True)
class BuildSpec:
    """All parameters of one `buildx build`.

    Args:
        needs: the identity of the build that makes the image that this one stands on; empty if
            that image comes from upstream.
    """

    build: Build
    inputs: BuildInputs
    cache: CachePlan
    output: ImageOutput
    run: RunOptions
    needs: str = ""

    @property
    def identity(self) -> str:
        """The build's name, like `ci-3.11-amd64`, or `ci-3.11` for several platforms."""
        several = bool(self.output.extra_platforms)
        return self.build.image_identity if several else self.build.identity

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """All platforms of this build."""
        return (self.build.platform, *self.output.extra_platforms)
