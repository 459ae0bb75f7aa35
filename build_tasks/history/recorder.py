"""Follow the events of one build, and make its record.

A `Recorder` keeps what the record needs, and no more however long the build runs. It follows the
rules of BuildKit's `util/progress/progressui` and `client/graph.go`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from build_tasks.history import vertex_names
from build_tasks.history.events import Decoder, Event, Line, Vertex, VertexLog, VertexStatus
from build_tasks.history.record import BuildRecord, CacheUse, StepKind
from build_tasks.history.vertex import Moment, StepEvent, VertexState, step
from build_tasks.text.redaction import redact

#: Vertices, plain messages, warnings, and characters of a message that are kept.
_MAX_VERTICES = 10_000
_MAX_MESSAGES = 400
_MAX_WARNINGS = 200
_MAX_LENGTH = 4000


@dataclass(frozen=True)
class Snapshot:
    """The progress of a build."""

    total: int = 0  # the instructions of the Dockerfile that BuildKit has named
    done: int = 0  # those that are complete, including the cached ones
    cached: int = 0  # those that were not executed
    running: tuple[str, ...] = ()  # the names of the vertices that run, oldest first


class Recorder:
    """Follows one build; one thread feeds it, and any thread may ask for its progress.

    Args:
        live: the events come as they happen, so that this machine's clock can be used.
        on_event: is called for each change of a vertex.
        on_line: is called for each line, before its events.
    """

    def __init__(
        self,
        *,
        live: bool = True,
        on_event: Callable[[StepEvent], None] | None = None,
        on_line: Callable[[Line], None] | None = None,
    ) -> None:
        self._began = time.time() if live else 0.0
        self._on_event = on_event
        self._on_line = on_line
        self._decoder = Decoder()
        self._lock = threading.Lock()  # never held while a callback runs
        self._vertices: dict[str, VertexState] = {}
        self._messages: deque[str] = deque(maxlen=_MAX_MESSAGES)
        self._warnings: dict[str, None] = {}
        self._delay = 0.0  # seconds until the first event by BuildKit's clock
        self._ended = False

    @property
    def messages(self) -> str:
        """The last lines that are not events, redacted: buildx's own errors."""
        with self._lock:
            return "".join(f"{text}\n" for text in self._messages)

    def feed(self, chunk: bytes) -> None:
        """Follow the next bytes of buildx's output, cut anywhere."""
        for line in self._decoder.feed(chunk):
            self._take(line)

    def end(self) -> None:
        """Close what BuildKit left open, as its displays do; later events are ignored."""
        if self._ended:
            return
        for line in self._decoder.end():
            self._take(line)
        with self._lock:
            self._ended = True
            last = max((state.last for state in self._vertices.values()), default=0.0)
            for state in self._vertices.values():
                state.close(last)

    def snapshot(self) -> Snapshot:
        """Return the progress of the build."""
        with self._lock:
            units = [unit for unit in self._units() if unit[-1].parsed.kind is StepKind.STEP]
            started = [unit for unit in units if any(state.intervals for state in unit)]
            states = self._vertices.values()
            running = [state.name for state in states if state.running and not state.weak]
            return Snapshot(
                len(units),
                done=sum(not any(s.open or s.error for s in unit) for unit in started),
                cached=sum(all(state.cached for state in unit) for unit in units),
                running=tuple(map(redact, running)),
            )

    def record(self, start: BuildRecord) -> BuildRecord:
        """Return a record with the steps, caches and warnings of the build added."""
        with self._lock:
            zeros = self._zeros()
            steps = tuple(step(unit, zeros[unit[-1].parsed.client]) for unit in self._units())
            warnings = tuple(self._warnings)
        imports = {use.reference: use for use in start.imports}
        export = start.export
        for vertex in steps:
            seconds = round(vertex.seconds, 6)
            if vertex.kind is StepKind.IMPORT:
                reference = vertex_names.parse(vertex.name).reference
                use = imports.get(reference, CacheUse(reference))
                imports[reference] = replace(
                    use, error=vertex.error or use.error, seconds=use.seconds + seconds
                )
            elif export and vertex_names.is_cache_export(vertex.name):
                export = replace(export, error=vertex.error, seconds=seconds)
        return replace(
            start,
            steps=steps,
            imports=tuple(imports.values()),
            export=export,
            warnings=(*start.warnings, *warnings),
        )

    def _take(self, line: Line) -> None:
        if self._on_line:
            self._on_line(line)
        changes: list[StepEvent] = []
        with self._lock:
            if line.events is None:
                self._messages.append(redact(line.text[:_MAX_LENGTH]))
            elif not self._ended:
                changes = [change for event in line.events for change in self._apply(event)]
        if self._on_event:
            for change in changes:
                self._on_event(change)

    def _apply(self, event: Event) -> Iterator[StepEvent]:
        if isinstance(event, Vertex):
            yield from self._update(event)
        elif isinstance(event, VertexStatus):
            if state := self._vertices.get(event.vertex):
                state.transfer(event.id, event.current)
        elif isinstance(event, VertexLog):
            state = self._vertices.get(event.vertex)
            if state and (lines := state.write(event.text)):
                yield self._output(state, lines)
        else:
            text = redact(event.text)
            if text and text not in self._warnings and len(self._warnings) < _MAX_WARNINGS:
                self._warnings[text] = None
                yield StepEvent(Moment.WARNING, text=text)

    def _update(self, vertex: Vertex) -> Iterator[StepEvent]:
        state = self._vertices.get(vertex.digest)
        if state is None:
            if len(self._vertices) >= _MAX_VERTICES:
                return
            state = VertexState(vertex.digest, vertex.name, len(self._vertices) + 1)
            state.announced = vertex.started is None
            self._vertices[vertex.digest] = state
        moment = state.update(vertex)
        if self._began and not self._delay and vertex.started and not state.parsed.client:
            self._delay = max(time.time() - self._began, 1e-6)
        if not moment or state.weak:
            return
        if moment is not Moment.STARTED and (lines := state.flush()):
            yield self._output(state, lines)
        yield state.event(moment)

    @staticmethod
    def _output(state: VertexState, lines: list[str]) -> StepEvent:
        return StepEvent(Moment.OUTPUT, state.number, kind=state.parsed.kind, log=tuple(lines))

    def _zeros(self) -> tuple[float, float]:
        """Return the beginning of the build by BuildKit's clock, and by this machine's."""
        solver = [
            min(state.intervals)
            for state in self._vertices.values()
            if state.intervals and not state.parsed.client
        ]
        zero = min(solver, default=self._began) - (self._delay if self._began else 0.0)
        return zero, self._began or zero

    def _units(self) -> list[list[VertexState]]:
        """Return the vertices of this build, by progress groups.

        A COPY --link is a vertex that copies and one that links. A group stays hidden until a
        member that is not weak starts.
        """
        units: dict[str, list[VertexState]] = {}
        for state in self._own():
            units.setdefault(state.group or state.digest, []).append(state)
        return [unit for unit in units.values() if not all(state.weak for state in unit)]

    def _own(self) -> list[VertexState]:
        """Return the vertices without the steps of other builds.

        BuildKit also reports a step that another build runs and this one waits for, with the
        other's name. The graph of a build is announced before any of it starts; a foreign step is
        reported when it runs, and no step of the graph depends on it.
        """
        graph = {StepKind.STEP, StepKind.BASE}
        waiting = [state for state in self._vertices.values() if state.announced]
        if not any(state.parsed.kind in graph and state.inputs for state in waiting):
            return [*self._vertices.values()]  # another build has started all of its steps
        own: set[str] = set()
        while waiting:
            state = waiting.pop()
            if state.digest not in own:
                own.add(state.digest)
                waiting += [self._vertices[name] for name in state.inputs if name in self._vertices]
        return [
            state
            for state in self._vertices.values()
            if state.digest in own or state.group or state.parsed.kind not in graph
        ]
