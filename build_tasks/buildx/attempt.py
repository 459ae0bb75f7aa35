"""One run of `buildx build`: who shows it, who follows it, and what is known of it afterwards."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from build_tasks import console, paths, process
from build_tasks.buildx import cache_errors, commands
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError
from build_tasks.history.events import Said, redacted
from build_tasks.history.record import BuildRecord, CacheUse
from build_tasks.history.recorder import Recorder
from build_tasks.history.snapshot import SILENT
from build_tasks.model.build import BuildSpec
from build_tasks.process import Command, Completed
from build_tasks.text import escaping
from build_tasks.text.formatting import shorten

Line = Callable[[str], None]
#: The oldest buildx that replays the events of a build that is over.
HISTORY = (0, 20)
#: Seconds that a builder has to say what a build did that is over.
ANSWER = 20.0
#: Seconds without a word after which a build says what it waits for, and how much of it is named.
QUIET = 15.0
NAMED = 3


@dataclass(frozen=True)
class Attempt:
    """A build that was tried.

    Args:
        ended: the command, with the last of what it wrote in `stderr`.
        recorder: what followed its events; None where BuildKit's own display had the stream.
        log: the file with everything that it said, if there is one.
    """

    ended: Completed
    recorder: Recorder | None = None
    log: str = ""

    def record(self, start: BuildRecord, spec: BuildSpec) -> BuildRecord:
        """Return what is known of the build.

        Args:
            start: what is known without it.
            spec: what was asked for.
        """
        start = replace(start, log=self.log)
        if self.recorder:
            record = self.recorder.record(start)
            return replace(record, imports=_named(record, spec))
        imports, error = cache_errors.seen(self.ended.stderr, spec)
        known = {use.reference: use for use in (*start.imports, *imports)}
        export = replace(start.export, error=error) if start.export and error else start.export
        return replace(start, imports=tuple(known.values()), export=export)


def followed(spec: BuildSpec, *, told: bool) -> BuildSpec:
    """Return the build with the display that BuildKit is asked for.

    Where nobody asked for a display, and no terminal can draw one, its events are asked for.

    Args:
        spec: the build as a person asked for it.
        told: somebody else shows what buildx says.
    """
    settings = spec.run.progress != "auto" or "BUILDKIT_PROGRESS" in os.environ
    if told or settings or console.stderr_is_terminal():
        return spec
    return replace(spec, run=replace(spec.run, progress="rawjson"))


def run(
    client: Client, command: Command, spec: BuildSpec, asked: str, line: Line | None
) -> Attempt:
    """Run a build once.

    Args:
        client: the way to the engine.
        command: what is run.
        spec: the build that it makes.
        asked: the display that a person asked for.
        line: is told the lines, an event's as one line of JSON, instead of our stderr.
    """
    if line:
        told = line
        recorder = Recorder(line=lambda said: told(said.text))
        return _follow(client, command, recorder, _Silence(recorder, spec.run.builder, told))
    if spec.run.progress != "rawjson":
        return Attempt(process.stream(command, environment=client.environment))
    if asked == "rawjson":
        return _follow(client, command, Recorder(line=_print))
    from build_tasks.progress import choice  # noqa: PLC0415 - start-up time
    from build_tasks.progress.logfile import Log  # noqa: PLC0415 - start-up time
    from build_tasks.progress.steps import Steps  # noqa: PLC0415 - start-up time

    steps = Steps(choice.columns())
    log = Log(log_file(spec))

    def both(said: Said) -> None:
        if said.event is None:
            log.line(said.text)
        else:
            log.event(said.event)
        steps.line(said)

    def told_both(text: str) -> None:
        log.line(text)
        console.message(f"{spec.identity}: {text}")

    try:
        log.line(process.quote(command))
        recorder = Recorder(hear=steps.hear, line=both)
        tried = _follow(client, command, recorder, _Silence(recorder, spec.run.builder, told_both))
    finally:
        log.close()
        if log.problem:
            console.message(f"{spec.identity}: {log.problem}")
    return replace(tried, log="" if log.problem else str(log.path))


def log_file(spec: BuildSpec) -> Path:
    """Return the file for all that a build alone says; `logs/IDENTITY.log` links to the last."""
    file = paths.cache_folder() / "logs" / spec.run.run_id / f"{spec.identity}.log"
    if spec.run.run_id:
        with contextlib.suppress(OSError):  # the log will say so
            paths.link(file.parent.with_name(file.name), Path(spec.run.run_id, file.name))
    return file


def replayed(client: Client, spec: BuildSpec, reference: str, start: BuildRecord) -> BuildRecord:
    """Return the record of a build that is over, from what its builder remembers.

    Args:
        client: the way to buildx.
        spec: the build.
        reference: what buildx calls it (`buildx.build.ref` in its metadata).
        start: what is known without the events; it is returned where the builder says nothing.
    """
    # A node that this build does not need may hang, and buildx would wait for it.
    if not reference or spec.run.multi_node or client.version < HISTORY:
        return start
    build = reference.rpartition("/")[2]
    command = commands.history_logs_command(client, spec.run.builder, build)
    try:
        said = process.run(command, environment=client.environment, timeout=ANSWER)
    except ImagesError:
        return start  # the image is made, and what is not known of it is no failure
    recorder = Recorder(live=False)
    recorder.feed(said.stderr.encode())
    recorder.end()
    # What BuildKit's display said without a reason gives way to what the events say.
    known = tuple(use for use in start.imports if use.error != cache_errors.UNSAID)
    export = replace(start.export, error="") if start.export else None
    record = recorder.record(replace(start, imports=known, export=export))
    return replace(record, imports=_named(record, spec))


def _named(record: BuildRecord, spec: BuildSpec) -> tuple[CacheUse, ...]:
    return tuple(cache_errors.named(use, spec) for use in record.imports)


def _print(said: Said) -> None:
    console.write(f"{escaping.terminal(redacted(said))}\n")


class _Silence:
    """Says what a build waits for that has said nothing for a while; each time after twice as long.

    Args:
        recorder: knows what runs.
        builder: the builder that has not answered where nothing runs.
        tell: is told the line.
    """

    def __init__(self, recorder: Recorder, builder: str, tell: Line) -> None:
        self._recorder = recorder
        self._builder = builder
        self._tell = tell
        self.end()

    def end(self) -> None:
        """Hear that the build has said something."""
        self._since = time.monotonic()
        self._limit = QUIET

    def look(self) -> None:
        """Say what it waits for, if that is due."""
        quiet = time.monotonic() - self._since
        if quiet < self._limit:
            return
        self._limit *= 2
        running = [shorten(name, 100) for name in self._recorder.running()]
        more = f" and {len(running) - NAMED} more" if len(running) > NAMED else ""
        what = f"running: {'; '.join(running[:NAMED])}{more}"
        waits = what if running else f"waiting for the builder {self._builder}"
        self._tell(f"{SILENT}{quiet:.0f} s, {waits}")


def _follow(
    client: Client, command: Command, recorder: Recorder, silence: _Silence | None = None
) -> Attempt:
    def take(chunk: bytes) -> None:
        if chunk:
            recorder.feed(chunk)
        if silence and chunk:
            silence.end()
        elif silence:
            silence.look()

    try:
        ended = process.stream(command, environment=client.environment, take=take)
    finally:
        recorder.end()
    return Attempt(replace(ended, stderr=recorder.ending()), recorder)
