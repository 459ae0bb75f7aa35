"""From BuildKit's events to the record of a build, while they come.

One `Recorder` follows one build; it keeps what the record needs and no more, however long the
build talks. How events are to be read is BuildKit's `util/progress/progressui` and
`client/graph.go`; the comments here name what is not obvious.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from build_tasks.history import events, vertex_names
from build_tasks.history.record import BuildRecord, CacheUse, StepKind
from build_tasks.history.snapshot import Moment, Snapshot, StepEvent
from build_tasks.history.vertex import Vertex, united
from build_tasks.text.redaction import redact

#: Lines of a failed step's log that BuildKit repeats at the end, and so do we.
REPEATED = 10
#: Vertices of one build, lines that are no events, and warnings, that are kept.
MOST = 10_000
_DIAGNOSTICS = 400
_WARNINGS = 200
_TOLD = {StepKind.STEP, StepKind.BASE, StepKind.IMPORT, StepKind.EXPORT}
_CANCELED = "context canceled"


_CREDENTIALS = "error getting credentials"


class Recorder:
    """Follows the events of one build; `feed` in one thread, `snapshot` in any.

    Args:
        live: the events come while they happen, so that this machine's clock means something.
        hear: is told what is worth a line.
        line: is told every line, an event's as one line of JSON.
    """

    def __init__(
        self,
        *,
        live: bool = True,
        hear: Callable[[StepEvent], None] | None = None,
        line: Callable[[events.Said], None] | None = None,
    ) -> None:
        self._began = time.time() if live else 0.0
        self._hear = hear
        self._line = line
        self._decoder = events.Decoder()
        self._lock = threading.Lock()
        self._vertices: dict[str, Vertex] = {}
        self._said: deque[str] = deque(maxlen=_DIAGNOSTICS)
        self._warnings: dict[str, None] = {}
        self._arrived = 0.0  # seconds after the beginning until BuildKit's clock was first seen
        self._ended = False

    def feed(self, chunk: bytes) -> None:
        """Follow what buildx wrote next.

        Args:
            chunk: bytes, cut anywhere.
        """
        for said in self._decoder.feed(chunk):
            self.take(said)

    def take(self, said: events.Said) -> None:
        """Follow one line."""
        if self._line:
            self._line(said)
        with self._lock:
            happened = self._happened(said)
        for one in happened if self._hear else ():
            assert self._hear  # noqa: S101 - it was looked at
            self._hear(one)

    def _happened(self, said: events.Said) -> list[StepEvent]:
        """Follow one line; what looks like an event and is none is a line like any other."""
        if said.event is not None:
            try:
                return [*self._event(said.event)]
            except (ValueError, TypeError, AttributeError, KeyError, OverflowError):
                pass
        self._said.append(redact(said.text[:4000]))
        return []

    def end(self) -> None:
        """End what has not ended, as BuildKit's own displays do; more events change nothing."""
        if self._ended:
            return
        for said in self._decoder.end():
            self.take(said)
        with self._lock:
            self._ended = True
            last = max((one.last for one in self._vertices.values()), default=0.0)
            for one in self._vertices.values():
                if one.open:
                    one.close(last)
                    if not (one.cached or one.error):
                        one.error = _CANCELED

    def snapshot(self) -> Snapshot:
        """Return where the build stands."""
        with self._lock:
            units = [unit for unit in self._units() if unit.named.kind is StepKind.STEP]
            running = [one for one in self._vertices.values() if one.running and not one.weak]
            return Snapshot(
                total=len(units),
                done=sum(one.done for one in units),
                cached=sum(one.cached for one in units),
                failed=sum(bool(one.error) for one in units),
                running=tuple(
                    redact(one.title) for one in running if one.named.kind is not StepKind.INTERNAL
                ),
            )

    def running(self) -> tuple[str, ...]:
        """Return the names of all that runs now, oldest first, BuildKit's own work among it."""
        with self._lock:
            running = [one for one in self._vertices.values() if one.running and not one.weak]
            return tuple(redact(one.title) for one in running)

    def ending(self) -> str:
        """Return what BuildKit's plain display would end with: a failed step's log, and the rest.

        `failures.classify` reads it.
        """
        with self._lock:
            failed = [
                one
                for one in self._vertices.values()
                if one.error and one.named.kind is StepKind.STEP and _CANCELED not in one.error
            ]
            # What a credential helper says names no image: that of the question does.
            asked = [
                f"{one.title}: {one.error}"
                for one in self._vertices.values()
                if _CREDENTIALS in one.error
            ]
            said = [*asked, *self._said]
        blocks = [
            "\n".join(["------", f" > {one.title}:", *one.tail(REPEATED), "------"])
            for one in failed
        ]
        return "".join(f"{redact(text)}\n" for text in (*blocks, *said))

    def record(self, start: BuildRecord) -> BuildRecord:
        """Return the record of the build.

        Args:
            start: what is known without the events; the references in it are kept.
        """
        with self._lock:
            zeros = self._zeros()
            steps = tuple(unit.step(zeros[unit.named.client]) for unit in self._units())
            warnings = tuple(self._warnings)
        imports = {use.reference: use for use in start.imports}
        export = start.export
        for step in steps:
            if step.kind is StepKind.IMPORT:
                reference = vertex_names.read(step.name).reference
                before = imports.get(reference, CacheUse(reference))
                imports[reference] = replace(
                    before,
                    error=step.error or before.error,
                    seconds=round(before.seconds + step.seconds, 6),
                )
            elif export and vertex_names.is_cache_export(step.name):
                export = replace(export, error=step.error, seconds=round(step.seconds, 6))
        return replace(
            start,
            steps=steps,
            imports=tuple(imports.values()),
            export=export,
            warnings=(*start.warnings, *warnings),
        )

    def _zeros(self) -> tuple[float, float]:
        """Return which time is the beginning, by BuildKit's clock and by this machine's."""
        solver = [one.first for one in self._vertices.values() if one.intervals and not one.client]
        zero = min(solver, default=self._began) - (self._arrived if self._began else 0.0)
        return zero, self._began or zero

    def _units(self) -> list[Vertex]:
        """Return the vertices, those of a progress group as one.

        A COPY --link is a vertex that copies and one that links; both count as what the group is
        called. Such a group stays hidden until a member starts that is not weak. Steps of other
        builds are left out.
        """
        units: dict[str, list[Vertex]] = {}
        for one in self._own():
            units.setdefault(one.group or one.digest, []).append(one)
        return [united(members) for members in units.values() if not all(m.weak for m in members)]

    def _own(self) -> list[Vertex]:
        """Return the vertices without the steps of other builds.

        BuildKit also tells of a step that another build runs at the time and this one waits for,
        by the other's name. A build's own graph is told before any of it starts; a foreign step
        is told when it runs, and nothing of the graph stands on it.
        """
        graph = {StepKind.STEP, StepKind.BASE}
        waiting = [one for one in self._vertices.values() if one.announced]
        if not any(one.named.kind in graph and one.inputs for one in waiting):
            return [*self._vertices.values()]  # another build has begun all of it
        own: set[str] = set()
        while waiting:
            one = waiting.pop()
            if one.digest not in own:
                own.add(one.digest)
                waiting += [self._vertices[name] for name in one.inputs if name in self._vertices]
        return [
            one
            for one in self._vertices.values()
            if one.digest in own or one.group or one.named.kind not in graph
        ]

    def _event(self, event: events.Event) -> list[StepEvent]:
        happened: list[StepEvent] = []
        if self._ended:
            return happened
        for vertex in event.get("vertexes") or ():
            happened += self._vertex(vertex)
        for status in event.get("statuses") or ():
            one = self._vertices.get(status.get("vertex") or "")
            if one:
                one.transfer(str(status.get("id")), int(status.get("current") or 0))
        for log in event.get("logs") or ():
            one = self._vertices.get(log.get("vertex") or "")
            if one:
                one.write(events.text_of(log.get("data")))
        for warning in event.get("warnings") or ():
            happened += self._warning(warning)
        return happened

    def _vertex(self, told: Mapping[str, Any]) -> list[StepEvent]:
        digest = str(told.get("digest"))
        one = self._vertices.get(digest)
        if one is None:
            if len(self._vertices) >= MOST:
                return []
            one = Vertex(digest, str(told.get("name") or ""), len(self._vertices) + 1)
            one.announced = not told.get("started")
            self._vertices[digest] = one
        if self._began and not self._arrived and told.get("started") and not one.client:
            self._arrived = max(time.time() - self._began, 1e-6)
        moment = one.update(told)
        kind = one.named.kind
        if not moment or kind not in _TOLD or one.weak:
            return []
        if moment == Moment.STARTED and kind is StepKind.BASE:
            return []
        return [
            StepEvent(
                Moment(moment),
                one.number,
                redact(one.title),
                kind,
                one.busy,
                redact(one.error),
                tuple(map(redact, one.tail(REPEATED))) if moment == Moment.FAILED else (),
            )
        ]

    def _warning(self, told: Mapping[str, Any]) -> list[StepEvent]:
        text = redact(events.text_of(told.get("short")))
        if not text or text in self._warnings or len(self._warnings) >= _WARNINGS:
            return []
        self._warnings[text] = None
        return [StepEvent(Moment.WARNING, 0, "", StepKind.INTERNAL, text=text)]
