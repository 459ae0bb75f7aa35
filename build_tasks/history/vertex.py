"""One vertex of BuildKit's graph, as far as its events have told it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from build_tasks.history import events, vertex_names
from build_tasks.history.record import Step, StepKind
from build_tasks.history.vertex_names import Named
from build_tasks.text.redaction import redact

#: Lines of a step's log that are kept, and characters of a line, a name or an error.
LINES = 50
LONG = 4000
#: Intervals and transfers of one vertex that are kept apart.
MOST = 200


@dataclass(slots=True)
class Vertex:
    """A vertex, keyed by its digest: it is told many times, with more each time.

    Args:
        digest: its name in the graph.
        name: what BuildKit calls it for people.
        number: its place among the vertices of the build, from 1.
        announced: it was told before it started.
    """

    digest: str
    name: str
    number: int
    group: str = ""
    title: str = ""
    weak: bool = False
    announced: bool = True
    inputs: tuple[str, ...] = ()
    cached: bool = False
    error: str = ""
    intervals: dict[float, float | None] = field(default_factory=dict)
    named: Named = field(init=False)
    _lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    _rest: str = ""
    _transfers: dict[str, int] = field(default_factory=dict)
    _told: str = ""

    def __post_init__(self) -> None:
        self.name = self.name[:LONG]
        self.title = self.name
        self.named = vertex_names.read(self.title)

    @property
    def client(self) -> bool:
        """It is buildx's own, by this machine's clock."""
        return self.named.client

    @property
    def running(self) -> bool:
        """It runs now."""
        return self.open and not self.cached

    @property
    def open(self) -> bool:
        """An interval of it has not ended."""
        return None in self.intervals.values()

    @property
    def done(self) -> bool:
        """It has ended, and well."""
        return bool(self.intervals) and not self.open and not self.error

    @property
    def first(self) -> float:
        """When it began."""
        return min(self.intervals)

    @property
    def last(self) -> float:
        """The last time that is known of it; 0 if there is none."""
        return max((end or begin for begin, end in self.intervals.items()), default=0.0)

    @property
    def busy(self) -> float:
        """The seconds in which it ran."""
        return sum(end - begin for begin, end in self.merged(0.0))

    def update(self, told: Mapping[str, Any]) -> str:
        """Follow one telling, and return what has happened for the first time, if anything.

        Args:
            told: a vertex of an event.
        """
        # Only what it says counts: a vertex that is announced again has not been reset, and one
        # whose layers are merged for an export comes without its inputs.
        if told.get("inputs"):
            self.inputs = tuple(map(str, told["inputs"]))
        group = told.get("progressGroup")
        if group:
            self.group = str(group.get("id") or "")
            self.weak = bool(group.get("weak"))
            self.title = str(group.get("name") or self.name)[:LONG]
            self.named = vertex_names.read(self.title)
        # Cached means "was not executed". It stays so: a later interval without the word is about
        # its layers being fetched.
        self.cached = self.cached or bool(told.get("cached"))
        self.error = self.error or str(told.get("error") or "")[:LONG]
        started, completed = told.get("started"), told.get("completed")
        if started:
            self._ran(events.seconds(started), events.seconds(completed) if completed else None)
        moment = self._moment(bool(started), bool(completed))
        if not moment or moment == self._told or self._told in {"cached", "done", "failed"}:
            return ""
        self._told = moment
        return moment

    def _moment(self, started: bool, completed: bool) -> str:
        if self.error:
            return "failed"
        if self.cached:
            return "cached"
        if completed:
            return "done"
        return "started" if started else ""

    def _ran(self, begin: float, end: float | None) -> None:
        """Note an interval; one vertex has several, of which each `started` is one."""
        known = self.intervals.get(begin)
        self.intervals[begin] = known if end is None else max(end, begin, known or 0.0)
        if len(self.intervals) > MOST:
            closed = self.merged(0.0)
            still = [begin for begin, end in self.intervals.items() if end is None]
            self.intervals = {**dict.fromkeys(still), **dict(closed)}
            if len(self.intervals) > MOST // 2:
                self.intervals = {self.first: self.last}

    def transfer(self, name: str, current: int) -> None:
        """Note how much of something has been transferred."""
        if name.startswith("extracting") or (
            name not in self._transfers and len(self._transfers) >= MOST
        ):
            return
        self._transfers[name] = max(current, self._transfers.get(name, 0))

    def write(self, text: str) -> None:
        """Note a piece of its log, which is cut anywhere."""
        *lines, self._rest = (self._rest + text).split("\n")
        self._lines.extend(line.rstrip("\r")[:LONG] for line in lines[-LINES:])
        self._rest = self._rest[-LONG:]

    def tail(self, count: int = LINES) -> list[str]:
        """Return the last lines of its log."""
        return [*self._lines, *([self._rest] if self._rest else [])][-count:]

    def close(self, end: float) -> None:
        """End what has not ended."""
        for begin, known in self.intervals.items():
            if known is None:
                self.intervals[begin] = max(begin, end)

    def merged(self, zero: float) -> tuple[tuple[float, float], ...]:
        """Return when it ran, in order and without overlaps, in seconds after a time."""
        merged: list[list[float]] = []
        for begin, end in sorted((b, e) for b, e in self.intervals.items() if e is not None):
            if merged and begin <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([begin, end])
        return tuple((round(begin - zero, 6), round(end - zero, 6)) for begin, end in merged)

    def step(self, zero: float) -> Step:
        """Return it as the record has it.

        Args:
            zero: the time at which the build began, in seconds since 1970.
        """
        ran = self.merged(zero)
        return Step(
            self.digest,
            redact(self.title),
            self.named.kind,
            stage=self.named.stage,
            platform=self.named.platform,
            number=self.named.number,
            total=self.named.total,
            inputs=self.inputs,
            intervals=tuple((max(begin, 0.0), max(end, 0.0)) for begin, end in ran),
            started=bool(self.intervals),
            cached=self.cached and self.named.kind is not StepKind.CONTEXT,
            error=redact(self.error),
            bytes=sum(self._transfers.values()),
            log=tuple(map(redact, self.tail())),
        )


def united(members: Sequence[Vertex]) -> Vertex:
    """Return the vertices of one progress group as the one that people see.

    Args:
        members: all of them; the one that is not weak gives its digest, which others stand on.
    """
    if len(members) == 1:
        return members[0]
    head = next(one for one in members if not one.weak)
    own = {one.digest for one in members}
    whole = Vertex(head.digest, head.title, min(one.number for one in members))
    whole.title, whole.named = head.title, head.named
    inputs = dict.fromkeys(name for one in members for name in one.inputs if name not in own)
    whole.inputs = tuple(inputs)
    for one in members:
        for begin, end in one.intervals.items():
            known = whole.intervals.get(begin, begin)
            whole.intervals[begin] = None if end is None or known is None else max(known, end)
        whole.error = whole.error or one.error
        for line in one.tail():
            whole.write(f"{line}\n")
        for name, current in one._transfers.items():  # noqa: SLF001 - of its own kind
            whole.transfer(f"{one.digest} {name}", current)
    whole.cached = all(one.cached for one in members)
    return whole
