"""The record of one build: its steps, their times, and its result, as plain data.

All times are seconds since the beginning of the build: a remote builder has another clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
    """One vertex of BuildKit's graph."""

    #: BuildKit's digest of the operation and all of its inputs (platform, arguments, base) but the
    #: content of files.
    digest: str = ""
    name: str = ""  # BuildKit's name for it, redacted
    kind: StepKind = StepKind.INTERNAL
    stage: str = ""
    platform: str = ""
    number: int = 0  # its place in the stage, from 1; 0 for what is not a step
    total: int = 0  # the steps of the stage
    inputs: tuple[str, ...] = ()  # the digests of the vertices that it depends on
    #: When it ran: the beginning and end of each interval, without overlaps, in order.
    intervals: tuple[tuple[float, float], ...] = ()
    started: bool = False  # it began, if only to be found in the cache
    cached: bool = False  # it was not executed
    error: str = ""  # why it failed, or why a cache was not read or written
    bytes: int = 0  # what it transferred, as far as BuildKit reports it
    log: tuple[str, ...] = ()  # the last lines of its output, redacted

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
    """A cache reference that a build read or wrote."""

    reference: str = ""
    error: str = ""  # why it was not read or written; empty if it was
    seconds: float = 0.0
    left_out: bool = False  # BuildKit was not asked to read it, because of `error`

    @property
    def absent(self) -> bool:
        """It was not read because it does not exist yet."""
        inside = "blob" in self.error or "content" in self.error
        return self.error.endswith(": not found") and not inside


@dataclass(frozen=True)
class Reuse:
    """An image that a build could take instead of making the same one."""

    reference: str = ""  # the image, by its tag
    digest: str = ""  # its digest if it was taken, else empty
    reason: str = ""  # why it was taken, or was not
    late: bool = False  # it was not there in time
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """What was done, and why, in one line."""
        if self.digest:
            name, colon, tag = self.reference.rpartition(":")
            name = name if colon and "/" not in tag else self.reference
            return f"reused {name}@{self.digest}: {self.reason}"
        return f"not reused: {self.reference}: {self.reason}"


@dataclass(frozen=True)
class BuildRecord:
    """One build."""

    identity: str = ""  # the build's name, like `ci-3.11-amd64`
    run: str = ""  # the name of the run, which all builds of one command share
    commit: str = ""  # the commit that was built from; empty without one
    branch: str = ""
    began: str = ""  # when it began, in UTC, as ISO 8601
    seconds: float = 0.0
    outcome: str = "built"  # built, failed, cancelled or skipped
    failure: str = ""  # the class of the error: engine, registry, network, ...; empty without one
    message: str = ""
    kind: str = ""
    python: str = ""
    platforms: tuple[str, ...] = ()
    image: str = ""  # the image's name, without a tag
    tags: tuple[str, ...] = ()  # the full references of the image
    digest: str = ""  # the image's digest in the registry, or in the engine
    output: str = ""  # load, push, push-by-digest or none
    builder: str = ""
    command: str = ""  # the command, quoted for a shell and redacted
    attempts: int = 1
    arguments: dict[str, str] = field(default_factory=dict)  # the build arguments, redacted
    base: tuple[str, str] = ("", "")  # the base image's reference and digest
    #: A hash of the mode and content of each file that the build could copy, by path.
    files: dict[str, str] = field(default_factory=dict)
    instructions: tuple[str, ...] = ()  # the Dockerfile's instructions, each as `STAGE LINE TEXT`
    fingerprint: str = ""
    steps: tuple[Step, ...] = ()  # the vertices, in the order in which BuildKit announced them
    reuse: tuple[Reuse, ...] = ()  # the images that could be taken instead, in order
    cache_disabled: bool = False
    imports: tuple[CacheUse, ...] = ()
    export: CacheUse | None = None
    warnings: tuple[str, ...] = ()  # the warnings of BuildKit's checks and of the suite
    log: str = ""  # the path of the log; empty if there is none

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

    def continuing(self, earlier: BuildRecord, seconds: float) -> BuildRecord:
        """Return the record of a build whose earlier attempt failed.

        What the earlier attempt executed is in the builder's cache, so that this one did not
        execute it again; but the build did. If this attempt had no steps, it has the earlier ones.

        Args:
            earlier: the record of the earlier attempt.
            seconds: from the beginning of the earlier attempt to that of this one.
        """
        executed = {step.name: step for step in earlier.steps if step.ran and not step.error}
        steps = tuple(_continued(step, executed.get(step.name), seconds) for step in self.steps)
        return replace(self, steps=steps or earlier.steps)


def _continued(step: Step, executed: Step | None, seconds: float) -> Step:
    """Return a step of a later attempt, whose digest may be another one."""
    later = [(round(begin + seconds, 6), round(end + seconds, 6)) for begin, end in step.intervals]
    if executed is None:
        return replace(step, intervals=tuple(later))
    return replace(
        step,
        intervals=(*executed.intervals, *later),
        started=True,
        cached=False,
        log=step.log or executed.log,
        bytes=max(step.bytes, executed.bytes),
    )
