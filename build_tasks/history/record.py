"""What one build did: its steps, where its time went, and what came of it, as plain data.

All times are seconds from the beginning of the build: a remote builder's clock is not ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

#: Raised when a later version of the suite could no longer read what this one wrote.
SCHEMA = 1


class StepKind(StrEnum):
    """What a vertex of BuildKit's graph is; only `RUN`, `COPY` and the like count as steps."""

    STEP = "step"  # an instruction of the Dockerfile that makes a layer
    BASE = "base"  # FROM
    CONTEXT = "context"  # files that come from this machine
    IMPORT = "import"  # a cache reference that is read
    EXPORT = "export"  # the image, or a cache reference, that is written
    INTERNAL = "internal"  # whatever else BuildKit does


@dataclass(frozen=True)
class Step:
    """One vertex of BuildKit's graph.

    Args:
        digest: BuildKit's name for the operation and all that it stands on (platform, arguments,
            base), but not for the content of files: the same in two builds that ask for the same.
        name: the instruction as BuildKit shows it, with secrets redacted.
        kind: what it is.
        stage: the Dockerfile's stage, empty for what belongs to none.
        platform: its platform, empty where BuildKit does not say.
        number: its place in the stage, from 1; 0 for what is not a step.
        total: the steps of the stage.
        inputs: the digests of what it stands on.
        intervals: when it ran, as pairs of seconds; without overlaps, in order.
        started: it was looked at, at least.
        cached: it was not executed.
        error: why it failed, or why a cache was not read or written; empty if it did not.
        bytes: what it transferred, as far as BuildKit said.
        log: the last lines that it wrote, redacted.
    """

    digest: str
    name: str
    kind: StepKind
    stage: str = ""
    platform: str = ""
    number: int = 0
    total: int = 0
    inputs: tuple[str, ...] = ()
    intervals: tuple[tuple[float, float], ...] = ()
    started: bool = False
    cached: bool = False
    error: str = ""
    bytes: int = 0
    log: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The time in which it was busy."""
        return sum(end - begin for begin, end in self.intervals)

    @property
    def ran(self) -> bool:
        """Whether it is a step of the Dockerfile that was executed."""
        return self.kind is StepKind.STEP and self.started and not self.cached


@dataclass(frozen=True)
class CacheUse:
    """One cache reference that a build read or wrote.

    Args:
        reference: the reference.
        error: why it was not read or written; empty if it was.
        seconds: what it took.
        left_out: the suite did not let BuildKit read it, for the reason in `error`.
    """

    reference: str
    error: str = ""
    seconds: float = 0.0
    left_out: bool = False

    @property
    def absent(self) -> bool:
        """It was not read because nobody has written it yet."""
        inside = "blob" in self.error or "content" in self.error
        return self.error.endswith(": not found") and not inside


@dataclass(frozen=True)
class BuildRecord:
    """One build.

    Args:
        identity: the build's name, like `ci-3.11-amd64`.
        commit: the commit that was built from; empty without one.
        branch: the branch that the image is named after.
        run: the name that all builds of one command share.
        began: when it began, in UTC, as ISO 8601.
        seconds: what it took.
        outcome: built, failed, cancelled or skipped.
        failure: the class of the failure (engine, registry, network, ...); empty if there is none.
        message: the failure in one line.
        kind: ci or prod.
        python: the image's Python.
        platforms: its platforms.
        image: the image's name, without a tag.
        tags: the full references that it got.
        digest: what the registry, or the engine, calls it.
        digests: the digest of each platform's image, by platform, as far as they are known.
        output: what became of it: load, push, push-by-digest or none.
        builder: the builder that built.
        command: the command, quoted for a shell and redacted.
        attempts: how often it was tried.
        arguments: the Dockerfile's arguments, redacted.
        base: the base image's reference and digest.
        files: fingerprints of what the build could copy (mode and content), by path.
        instructions: the Dockerfile's instructions in order, each as `STAGE LINE TEXT`.
        fingerprint: one digest of all inputs.
        steps: the vertices, in the order in which BuildKit named them.
        imports: the cache references that were read, in order.
        export: the cache reference that was written, if one was to be.
        warnings: what BuildKit's checks and the suite warned of.
        versions: of buildx, BuildKit and the suite, as far as they are known.
        log: the file with everything that was shown, if there is one.
    """

    identity: str
    run: str = ""
    commit: str = ""
    branch: str = ""
    began: str = ""
    seconds: float = 0.0
    outcome: str = "built"
    failure: str = ""
    message: str = ""
    kind: str = ""
    python: str = ""
    platforms: tuple[str, ...] = ()
    image: str = ""
    tags: tuple[str, ...] = ()
    digest: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    output: str = ""
    builder: str = ""
    command: str = ""
    attempts: int = 1
    arguments: dict[str, str] = field(default_factory=dict)
    base: tuple[str, str] = ("", "")
    files: dict[str, str] = field(default_factory=dict)
    instructions: tuple[str, ...] = ()
    fingerprint: str = ""
    steps: tuple[Step, ...] = ()
    imports: tuple[CacheUse, ...] = ()
    export: CacheUse | None = None
    warnings: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    log: str = ""
