"""The record of one build: its steps, their times, and its result, as plain data.

All times are seconds since the beginning of the build: a remote builder has another clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

#: Raised when a later version could no longer read what this one writes.
SCHEMA = 1


class StepKind(StrEnum):
    """What a vertex of BuildKit's graph does; only instructions like `RUN` and `COPY` are steps."""

    STEP = "step"  # an instruction of the Dockerfile that makes a layer
    BASE = "base"  # FROM
    CONTEXT = "context"  # files from this machine
    IMPORT = "import"  # a cache reference that is read
    EXPORT = "export"  # the image, or a cache reference, that is written
    INTERNAL = "internal"  # whatever else BuildKit does

    @classmethod
    def _missing_(cls, value: object) -> StepKind:  # noqa: ARG003 - a kind of a later version
        return cls.INTERNAL


@dataclass(frozen=True)
class Step:
    """One vertex of BuildKit's graph.

    Args:
        digest: BuildKit's digest of the operation and all of its inputs (platform, arguments, base)
            but the content of files.
        name: BuildKit's name for it, redacted.
        number: its place in the stage, from 1; 0 for what is not a step.
        total: the steps of the stage.
        inputs: the digests of the vertices that it depends on.
        intervals: when it ran: the beginning and end of each interval, without overlaps, in order.
        started: it began, if only to be found in the cache.
        cached: it was not executed.
        error: why it failed, or why a cache was not read or written.
        bytes: what it transferred, as far as BuildKit reports it.
        log: the last lines of its output, redacted.
    """

    digest: str = ""
    name: str = ""
    kind: StepKind = StepKind.INTERNAL
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
        """The time for which it ran."""
        return sum(end - begin for begin, end in self.intervals)

    @property
    def ran(self) -> bool:
        """Whether it is a step that was executed."""
        return self.kind is StepKind.STEP and self.started and not self.cached

    @property
    def place(self) -> str:
        """Its stage and number, like `main 2/10`; empty for BuildKit's own vertices."""
        return f"{self.stage} {self.number}/{self.total}".strip() if self.number else ""


@dataclass(frozen=True)
class CacheUse:
    """A cache reference that a build read or wrote.

    Args:
        reference: the reference.
        error: why it was not read or written; empty if it was.
        seconds: how long that took.
        left_out: BuildKit was not asked to read it, because of `error`.
    """

    reference: str = ""
    error: str = ""
    seconds: float = 0.0
    left_out: bool = False

    @property
    def absent(self) -> bool:
        """It was not read because it does not exist yet."""
        inside = "blob" in self.error or "content" in self.error
        return self.error.endswith(": not found") and not inside


@dataclass(frozen=True)
class BuildRecord:
    """One build.

    Args:
        identity: the build's name, like `ci-3.11-amd64`.
        run: the name of the run, which all builds of one command share.
        commit: the commit that was built from; empty without one.
        began: when it began, in UTC, as ISO 8601.
        seconds: how long it took.
        outcome: built, failed, cancelled or skipped.
        failure: the class of the error: engine, registry, network, ...; empty without one.
        message: the error.
        image: the image's name, without a tag.
        tags: the full references of the image.
        digest: the image's digest in the registry, or in the engine.
        output: load, push, push-by-digest or none.
        command: the command, quoted for a shell and redacted.
        arguments: the build arguments, redacted.
        base: the base image's reference and digest.
        files: a hash of the mode and content of each file that the build could copy, by path.
        instructions: the Dockerfile's instructions, each as `STAGE LINE TEXT`.
        fingerprint: one hash of all inputs.
        steps: the vertices, in the order in which BuildKit announced them.
        warnings: the warnings of BuildKit's checks and of the suite.
        log: the path of the log; empty if there is none.
    """

    identity: str = ""
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
    log: str = ""

    @property
    def dockerfile_steps(self) -> list[Step]:
        """The instructions of the Dockerfile that make layers."""
        return [step for step in self.steps if step.kind is StepKind.STEP]

    def below(self, *steps: Step) -> set[str]:
        """Return the digests of everything that some steps depend on, without these."""
        inputs = {step.digest: step.inputs for step in self.steps}
        result: set[str] = set()
        pending = [digest for step in steps for digest in step.inputs]
        while pending:
            digest = pending.pop()
            if digest not in result:
                result.add(digest)
                pending += inputs.get(digest, ())
        return result - {step.digest for step in steps}
