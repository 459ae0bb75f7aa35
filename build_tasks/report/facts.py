"""What a record says, worked out: counts, the slowest steps, what went wrong, in people's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.text import escaping
from build_tasks.text.formatting import plural

_PLACE = re.compile(r"\[[^\]]* \d+/\d+\] ")
_FLAGS = re.compile(r"(?<= )--(?:mount|link|chmod|chown|network|security)\b(?:=\S+)? ")
_HERE = re.compile(r'<<-?"?\w+"? \((.*)\)$', re.DOTALL)
_MINUTE, _HOUR = 60, 3600
#: Seconds from which on a step is worth a line among the slowest.
NOTICED = 0.05


@dataclass(frozen=True)
class Hotspot:
    """An instruction that several builds have run.

    Args:
        kind: the image.
        place: its stage and number.
        text: the instruction.
        seconds: what it took in all of them together.
        builds: how many ran it.
    """

    kind: str
    place: str
    text: str
    seconds: float
    builds: int


def instruction(step: Step) -> str:
    """Return a step's name in one line, without its place, its flags and its here-document's frame.

    BuildKit shows a here-document as `RUN <<EOF (first line...)`.
    """
    text = _FLAGS.sub("", _PLACE.sub("", escaping.plain(step.name), count=1))
    return " ".join(_HERE.sub(r"\1", text).split())


def place(step: Step) -> str:
    """Return where a step stands, like `main 2/10`; empty for what is none."""
    return escaping.plain(f"{step.stage} {step.number}/{step.total}").strip() if step.number else ""


def named(step: Step) -> str:
    """Return a step as one line says it."""
    return f"[{place(step)}] {instruction(step)}" if place(step) else instruction(step)


def steps(record: BuildRecord) -> list[Step]:
    """Return the steps of the Dockerfile."""
    return [step for step in record.steps if step.kind is StepKind.STEP]


def counted(record: BuildRecord) -> tuple[int, int]:
    """Return how many steps ran, and how many were cached."""
    return sum(one.ran for one in steps(record)), sum(one.cached for one in steps(record))


def ratio(record: BuildRecord) -> str:
    """Return the steps that ran and those that were cached, as `5/4`."""
    return "/".join(map(str, counted(record)))


def slowest(record: BuildRecord, count: int = 3) -> list[Step]:
    """Return what took longest, longest first, without what took next to no time."""
    busy = [step for step in record.steps if step.seconds >= NOTICED]
    return sorted(busy, key=lambda step: step.seconds, reverse=True)[:count]


def transferred(record: BuildRecord) -> int:
    """Return the bytes that all of it transferred, as far as BuildKit said."""
    return sum(step.bytes for step in record.steps)


def failed_step(record: BuildRecord) -> Step | None:
    """Return the step that failed, or what else did, None if the build did not fail."""
    if record.outcome == "built":
        return None
    wrong = [s for s in record.steps if s.error and s.kind is not StepKind.IMPORT]
    # Steps that ran beside the one that failed are told as cancelled.
    wrong.sort(key=lambda step: ("cancel" in step.error, step.kind is not StepKind.STEP))
    return wrong[0] if wrong else None


def outcome(record: BuildRecord) -> str:
    """Return what came of a build, with the failure's class and the step."""
    parts = [record.outcome, record.failure]
    step = failed_step(record)
    if step and place(step):
        parts.append(f"[{place(step)}]")
    return escaping.plain(" ".join(part for part in parts if part))


def lost(record: BuildRecord) -> list[str]:
    """Return a line for each cache reference that could not be read or written.

    One that nobody has written yet is no fault.
    """
    uses = [("read", use) for use in record.imports]
    uses += [("written", record.export)] if record.export else []
    return [
        " ".join(escaping.plain(f"cache not {how}: {use.reference}: {use.error}").split())
        for how, use in uses
        if use.error and not use.absent
    ]


def log(step: Step, lines: int) -> list[str]:
    """Return the last lines of a step's log, each at most 400 characters long."""
    return [escaping.plain(line)[:400] for line in step.log[-lines:]]


def short(digest: str) -> str:
    """Return the beginning of a digest, which is enough to know it by."""
    return digest.removeprefix("sha256:")[:12]


def offsets(records: Sequence[BuildRecord]) -> list[float]:
    """Return when each build began, in seconds after the first of them."""
    began = [_time(record.began) for record in records]
    first = min((one for one in began if one is not None), default=0.0)
    return [0.0 if one is None else one - first for one in began]


def span(records: Sequence[BuildRecord]) -> float:
    """Return the seconds from the beginning of the first build to the end of the last."""
    ends = [at + one.seconds for at, one in zip(offsets(records), records, strict=True)]
    return max(ends, default=0.0)


def hotspots(records: Iterable[BuildRecord], count: int) -> list[Hotspot]:
    """Return the instructions that cost most over all builds, the dearest first."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for record in records:
        for step in steps(record):
            if step.ran and step.seconds:
                key = (record.kind, place(step), instruction(step))
                found.setdefault(key, []).append(step.seconds)
    all_of_them = [Hotspot(*key, sum(took), len(took)) for key, took in found.items()]
    return sorted(all_of_them, key=lambda one: one.seconds, reverse=True)[:count]


def tally(records: Sequence[BuildRecord]) -> str:
    """Return how many builds came to what, like `24 builds: 23 built, 1 failed`."""
    counts: dict[str, int] = {}
    for record in records:
        counts[record.outcome] = counts.get(record.outcome, 0) + 1
    parts = ", ".join(f"{number} {name}" for name, number in counts.items())
    return f"{plural(len(records), 'build')}: {parts}"


def _time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
