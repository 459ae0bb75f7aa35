"""The state of one vertex of the build graph, collected from its events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from build_tasks.history import vertex_names
from build_tasks.history.events import Vertex
from build_tasks.history.record import Step, StepKind
from build_tasks.history.vertex_names import VertexName
from build_tasks.text.redaction import redact

#: Log lines that are kept, and characters of a line, a name or an error.
MAX_LINES = 50
MAX_LENGTH = 4000
#: Characters of a log line after which it is split: redaction cuts longer ones.
MAX_LINE = 32 * 1024
#: Intervals and transfers that are kept apart.
MAX_PARTS = 200
#: The end of an error of a vertex that was cancelled.
CANCELED = "context canceled"
#: Log lines that an event of a failed step repeats, as BuildKit's own display does.
REPEATED = 10


class Moment(StrEnum):
    """A change of a vertex that displays show."""

    STARTED = "started"
    OUTPUT = "output"
    CACHED = "cached"
    DONE = "done"
    FAILED = "failed"
    WARNING = "warning"


_FINAL = frozenset({Moment.CACHED, Moment.DONE, Moment.FAILED})


@dataclass(frozen=True)
class StepEvent:
    """A change of a vertex."""

    moment: Moment
    number: int = 0  # the vertex's number in this build, from 1; 0 for a warning
    name: str = ""  # the vertex's name, redacted
    kind: StepKind = StepKind.INTERNAL
    seconds: float = 0.0  # how long it has run
    text: str = ""  # the error or the warning, redacted
    #: The last lines of a step that failed, redacted; of `OUTPUT` the new lines, unredacted.
    log: tuple[str, ...] = ()


@dataclass(slots=True)
class VertexState:
    """A vertex, which has an event for each change of its state."""

    digest: str
    name: str
    number: int  # its place among the vertices of the build, from 1
    group: str = ""
    weak: bool = False
    announced: bool = True  # its first event came before it started
    inputs: tuple[str, ...] = ()
    cached: bool = False
    error: str = ""
    intervals: dict[float, float | None] = field(default_factory=dict)
    parsed: VertexName = field(init=False)
    transfers: dict[str, int] = field(default_factory=dict)
    _lines: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_LINES))
    _partial: str = ""
    _moment: Moment | None = None

    def __post_init__(self) -> None:
        self._rename(self.name)

    @property
    def open(self) -> bool:
        """An interval has not ended."""
        return None in self.intervals.values()

    @property
    def running(self) -> bool:
        """It runs now."""
        return self.open and not self.cached

    @property
    def last(self) -> float:
        """Its last known time; 0 if there is none."""
        return max((end or begin for begin, end in self.intervals.items()), default=0.0)

    def update(self, vertex: Vertex) -> Moment | None:
        """Follow one event; return what it changed, unless an earlier event said the same.

        Only what an event has counts: a vertex that is announced again has not been reset, and one
        whose layers are merged for an export comes without its inputs.
        """
        self.inputs = vertex.inputs or self.inputs
        if vertex.group:
            self.group, self.weak = vertex.group, vertex.weak
            self._rename(vertex.name)
        # Cached means "not executed": a later interval is about fetching its layers.
        self.cached = self.cached or vertex.cached
        self.error = self.error or vertex.error[:MAX_LENGTH]
        if vertex.started is not None:
            self._add_interval(vertex.started, vertex.completed)
        changes = {
            Moment.FAILED: bool(self.error),
            Moment.CACHED: self.cached,
            Moment.DONE: vertex.completed is not None,
            Moment.STARTED: vertex.started is not None,
        }
        moment = next((moment for moment, happened in changes.items() if happened), None)
        if moment is None or moment == self._moment or self._moment in _FINAL:
            return None
        self._moment = moment
        return moment

    def event(self, moment: Moment) -> StepEvent:
        """Return the event for displays."""
        return StepEvent(
            moment,
            self.number,
            redact(self.name),
            self.parsed.kind,
            sum(end - begin for begin, end in _united(self.intervals.items())),
            redact(self.error),
            tuple(map(redact, self.tail(REPEATED))) if moment is Moment.FAILED else (),
        )

    def transfer(self, name: str, current: int) -> None:
        """Note how much of something has been transferred."""
        known = name in self.transfers or len(self.transfers) < MAX_PARTS
        if known and not name.startswith("extracting"):
            self.transfers[name] = max(current, self.transfers.get(name, 0))

    def write(self, text: str) -> list[str]:
        """Add a piece of its log; return the lines that are complete."""
        *lines, self._partial = (self._partial + text).split("\n")
        if len(self._partial) > MAX_LINE:
            lines.append(self._partial)
            self._partial = ""
        lines = [line.rstrip() for line in lines]
        self._lines.extend(line[:MAX_LENGTH] for line in lines[-MAX_LINES:])
        return lines

    def flush(self) -> list[str]:
        """Complete the last line of its log."""
        return self.write("\n") if self._partial else []

    def tail(self, count: int = MAX_LINES) -> list[str]:
        """Return the last lines of its log."""
        partial = [self._partial[:MAX_LENGTH]] if self._partial else []
        return [*self._lines, *partial][-count:]

    def close(self, end: float) -> None:
        """End what has not ended: BuildKit cancelled it."""
        if self.open and not (self.cached or self.error):
            self.error = CANCELED
        for begin, known in self.intervals.items():
            if known is None:
                self.intervals[begin] = max(begin, end)

    def _rename(self, name: str) -> None:
        self.name = name[:MAX_LENGTH]
        self.parsed = vertex_names.parse(self.name)

    def _add_interval(self, begin: float, end: float | None) -> None:
        """Note an interval: each `started` of a vertex begins one."""
        known = self.intervals.get(begin)
        self.intervals[begin] = known if end is None else max(end, begin, known or 0.0)
        if len(self.intervals) > MAX_PARTS:
            self.intervals = {min(self.intervals): self.last}


def step(members: Sequence[VertexState], zero: float) -> Step:
    """Return the vertices of one progress group, or a single vertex, as a recorded step.

    Args:
        members: the first that is not weak gives the digest, on which others depend.
        zero: the beginning of the build, in seconds since 1970.
    """
    head = next(member for member in members if not member.weak)
    digests = {member.digest for member in members}
    inputs = dict.fromkeys(name for member in members for name in member.inputs)
    times = [interval for member in members for interval in member.intervals.items()]
    log = [line for member in members for line in member.tail()]
    return Step(
        head.digest,
        redact(head.name),
        head.parsed.kind,
        stage=head.parsed.stage,
        platform=head.parsed.platform,
        number=head.parsed.number,
        total=head.parsed.total,
        inputs=tuple(name for name in inputs if name not in digests),
        intervals=tuple(
            (round(max(begin - zero, 0.0), 6), round(max(end - zero, 0.0), 6))
            for begin, end in _united(times)
        ),
        started=bool(times),
        cached=all(member.cached for member in members)
        and head.parsed.kind is not StepKind.CONTEXT,
        error=redact(next((member.error for member in members if member.error), "")),
        bytes=sum(sum(member.transfers.values()) for member in members),
        log=tuple(map(redact, log[-MAX_LINES:])),
    )


def _united(intervals: Iterable[tuple[float, float | None]]) -> list[tuple[float, float]]:
    """Return the intervals that have ended, in order and without overlaps."""
    united: list[tuple[float, float]] = []
    for begin, end in sorted((begin, end) for begin, end in intervals if end is not None):
        if united and begin <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((begin, end))
    return united
