"""What all reports show of records: counts, names of steps, the slowest, what failed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from build_tasks.history import vertex_names
from build_tasks.history.record import BuildRecord, CacheUse, Step, StepKind
from build_tasks.text.escaping import plain
from build_tasks.text.formatting import plural, timestamp

#: Seconds below which a step is not listed among the slowest.
NOTICEABLE = 0.05
#: The texts of states that are not their own.
STATES = {
    "unreached": "not reached",
    "moved": "moved data",
    "lost": "cache failed",
    "absent": "no cache yet",
}


@dataclass(frozen=True)
class Hotspot:
    """An instruction and the time that all builds of one image spent in it."""

    kind: str
    place: str
    text: str
    seconds: float
    builds: int


def instruction(step: Step) -> str:
    """Return a step's short name, like `install uv`."""
    return vertex_names.parse(plain(step.name)).short


def named(step: Step) -> str:
    """Return a step's place and short name, like `[main 2/10] install uv`."""
    return vertex_names.parse(plain(step.name)).title


def counted(record: BuildRecord) -> tuple[int, int]:
    """Return how many steps ran, and how many were cached."""
    steps = record.dockerfile_steps
    return sum(step.ran for step in steps), sum(step.cached for step in steps)


def ratio(record: BuildRecord) -> str:
    """Return the steps that ran and those that were cached, as `5/4`."""
    return "/".join(map(str, counted(record)))


def state(step: Step) -> str:
    """Return the state of a step, which is also its class in the page's style sheet."""
    if step.error and step.kind is StepKind.IMPORT and CacheUse(step.name, step.error).absent:
        return "absent"
    if step.error:
        return "lost" if step.kind in {StepKind.IMPORT, StepKind.EXPORT} else "failed"
    if not step.started:
        return "unreached"
    if step.kind is not StepKind.STEP:
        return "moved"
    return "cached" if step.cached else "ran"


def state_text(step: Step) -> str:
    """Return the state of a step in words."""
    return STATES.get(state(step), state(step))


def slowest(record: BuildRecord, count: int = 3) -> list[Step]:
    """Return the steps that took longest, longest first."""
    noticeable = [step for step in record.steps if step.seconds >= NOTICEABLE]
    return sorted(noticeable, key=lambda step: step.seconds, reverse=True)[:count]


def transferred(record: BuildRecord) -> int:
    """Return the bytes that BuildKit itself transferred.

    These are the build context, the layers of base images, and caches. BuildKit does not count
    what a RUN step downloads.
    """
    return sum(step.bytes for step in record.steps)


def failed_step(record: BuildRecord) -> Step | None:
    """Return the step that failed a build, or the export that did."""
    if record.outcome == "built":
        return None
    failed = [step for step in record.steps if step.error and step.kind is not StepKind.IMPORT]
    # BuildKit cancels the steps that run beside the one that fails.
    failed.sort(key=lambda step: ("cancel" in step.error, step.kind is not StepKind.STEP))
    return failed[0] if failed else None


def outcome(record: BuildRecord) -> str:
    """Return how a build ended, with the class of a failure and its step."""
    step = failed_step(record)
    failed_place = f"[{step.place}]" if step and step.place else ""
    return " ".join(filter(None, (record.outcome, record.failure, failed_place)))


def cache_problems(record: BuildRecord) -> list[str]:
    """Return a line for each cache that exists and was not read, or was not written."""
    uses: list[tuple[str, CacheUse]] = [("read", use) for use in record.imports]
    uses += [("written", record.export)] if record.export else []
    return [
        " ".join(f"cache not {verb}: {use.reference}: {use.error}".split())
        for verb, use in uses
        if use.error and not use.absent
    ]


def reuse(record: BuildRecord) -> str:
    """Return which image was taken instead of a build, or why none was; empty if none could be."""
    return "; ".join(one.text for one in record.reuse)


def log(step: Step, lines: int) -> list[str]:
    """Return the last lines of a step's log, each at most 400 characters long."""
    return [plain(line)[:400] for line in step.log[-lines:]]


def short_digest(digest: str) -> str:
    """Return the first 12 hexadecimal digits of a digest."""
    return digest.removeprefix("sha256:")[:12]


def offsets(records: Sequence[BuildRecord]) -> list[float]:
    """Return when each build began, in seconds after the first."""
    times = [timestamp(record.began) for record in records]
    first = min((time for time in times if time is not None), default=0.0)
    return [0.0 if time is None else time - first for time in times]


def span(records: Sequence[BuildRecord]) -> float:
    """Return the seconds from the beginning of the first build to the end of the last."""
    pairs = zip(offsets(records), records, strict=True)
    return max((begin + record.seconds for begin, record in pairs), default=0.0)


def hotspots(records: Iterable[BuildRecord], count: int) -> list[Hotspot]:
    """Return the instructions in which all builds together spent most time."""
    times: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for record in records:
        for step in record.dockerfile_steps:
            if step.ran and step.seconds:
                times[record.kind, step.place, instruction(step)].append(step.seconds)
    spots = [Hotspot(*key, sum(seconds), len(seconds)) for key, seconds in times.items()]
    return sorted(spots, key=lambda spot: spot.seconds, reverse=True)[:count]


def tally(records: Sequence[BuildRecord]) -> str:
    """Return the number of builds by outcome, like `24 builds: 23 built, 1 failed`."""
    outcomes = Counter(record.outcome for record in records)
    parts = ", ".join(f"{number} {name}" for name, number in outcomes.items())
    return f"{plural(len(records), 'build')}: {parts}"
