"""Run `buildx build` once, and pass its events to a listener."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from build_tasks import process
from build_tasks.buildx import cache_errors
from build_tasks.buildx.commands import build_command, history_logs_command
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError
from build_tasks.history import vertex_names
from build_tasks.history.events import Line
from build_tasks.history.record import BuildRecord
from build_tasks.history.recorder import Recorder
from build_tasks.history.vertex import StepEvent
from build_tasks.model.build import BuildSpec
from build_tasks.process import Completed
from build_tasks.text.formatting import shorten

#: The first buildx that can replay the events of a finished build.
HISTORY = (0, 20)
#: Seconds that a builder has to replay them.
ANSWER = 20.0
#: Seconds without output after which a build says what it waits for; doubled each time.
QUIET = 15.0
#: Running steps that are named then.
NAMED = 3


class Listener:
    """Is told what happens to builds, in the thread of each; this one ignores it.

    `name` is the identity of the build.
    """

    #: Decode BuildKit's events; else BuildKit writes its own display to our stderr.
    takes_events = True

    def start(self, spec: BuildSpec, command: str, recorder: Recorder) -> None:
        """An attempt starts; the command is quoted for a shell and has no secrets."""

    def line(self, name: str, line: Line) -> None:
        """Buildx wrote a line."""

    def step(self, name: str, event: StepEvent) -> None:
        """A vertex changed."""

    def say(self, name: str, text: str) -> None:
        """The driver has a message: what it waits for, or why it repeats a build."""

    def log_file(self, name: str) -> str:  # noqa: ARG002 - for subclasses
        """Return the path of the build's log; empty if there is none."""
        return ""


def run(
    client: Client, spec: BuildSpec, start: BuildRecord, listener: Listener
) -> tuple[Completed, BuildRecord]:
    """Run a build once; return the command, and the record `start` with what is known of the build.

    With events, the command's `stderr` has only the plain messages.
    """
    name = spec.identity
    if listener.takes_events:
        spec = replace(spec, run=replace(spec.run, progress="rawjson"))
    own = replace(spec, run=replace(spec.run, metadata=spec.run.own_metadata))
    command = build_command(client, own)
    recorder = Recorder(on_event=partial(listener.step, name), on_line=partial(listener.line, name))
    shown = process.quote(build_command(client, spec), client.environment)
    listener.start(spec, shown, recorder)
    environment = {**client.environment, **spec.inputs.secret_variables}
    if not listener.takes_events:
        completed = process.stream(command, environment=environment)
        if completed.returncode:
            # What BuildKit's display ended with: the failed step, its log and the error.
            _, mark, end = completed.stderr.partition("------\n")
            for text in (end if mark else completed.stderr).splitlines()[-100:]:
                listener.line(name, Line(text))
        imports, error = cache_errors.parse_display(completed.stderr, spec)
        known = {use.reference: use for use in (*start.imports, *imports)}
        export = replace(start.export, error=error) if start.export and error else start.export
        record = replace(start, imports=tuple(known.values()), export=export)
        record = replace(record, log=listener.log_file(name))
        return completed, cache_errors.with_names(record, spec)
    silence = _Silence(recorder, spec, listener)

    def take(chunk: bytes) -> None:
        if chunk:
            recorder.feed(chunk)
            silence.end()
        else:
            silence.check()

    try:
        completed = process.stream(command, environment=environment, take=take)
    finally:
        recorder.end()
    record = recorder.record(replace(start, log=listener.log_file(name)))
    return replace(completed, stderr=recorder.messages), cache_errors.with_names(record, spec)


def replay(
    client: Client, spec: BuildSpec, reference: str, start: BuildRecord, listener: Listener
) -> BuildRecord:
    """Return the record of a finished build from the events that its builder has kept.

    `reference` is buildx's name for the build (`buildx.build.ref` in its metadata). The record
    `start` is returned as it is if the builder does not have the events.
    """
    # With several nodes, buildx would wait for each of them, and one that is not needed may hang.
    if not reference or spec.run.multi_node or client.version < HISTORY:
        return start
    build = reference.rpartition("/")[2]
    command = history_logs_command(client, spec.run.builder, build)
    try:
        completed = process.run(command, environment=client.environment, timeout=ANSWER)
    except (ImagesError, OSError):
        return start
    recorder = Recorder(live=False, on_event=partial(listener.step, spec.identity))
    recorder.feed(completed.stderr.encode())
    recorder.end()
    # The events say more than BuildKit's display did.
    known = tuple(use for use in start.imports if use.error != cache_errors.UNKNOWN)
    export = replace(start.export, error="") if start.export else None
    record = recorder.record(replace(start, imports=known, export=export))
    return cache_errors.with_names(record, spec) if record.steps else start


class _Silence:
    """Says what a silent build waits for, each time after twice as long."""

    def __init__(self, recorder: Recorder, spec: BuildSpec, listener: Listener) -> None:
        self._recorder = recorder
        self._spec = spec
        self._listener = listener
        self.end()

    def end(self) -> None:
        """Start anew: the build has written something."""
        self._since = time.monotonic()
        self._limit = QUIET

    def check(self) -> None:
        """Say what the build waits for, if it is time."""
        quiet = time.monotonic() - self._since
        if quiet < self._limit:
            return
        self._limit *= 2
        names = self._recorder.snapshot().running
        running = "; ".join(shorten(vertex_names.parse(name).short, 100) for name in names[:NAMED])
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        waiting = f"waiting for the builder {self._spec.run.builder}"
        what = f"running: {running}{more}" if running else waiting
        self._listener.say(self._spec.identity, f"no output for {quiet:.0f} s, {what}")
