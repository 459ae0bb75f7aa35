"""What is kept of the builds of a run, and what is told of them at its end."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from build_tasks.buildx import cache_errors, runner
from build_tasks.buildx.runner import Built
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError
from build_tasks.history import journal, recorded_inputs
from build_tasks.history.record import BuildRecord
from build_tasks.model.build import BuildSpec
from build_tasks.plan import build_inputs
from build_tasks.report import step_summary, terminal

Announce = Callable[[str], None]
#: What can go wrong without failing a build.
_RECORD = "the record of the build is not kept"
_REPLAY = "the record of the build has no steps"
_SUMMARY = "what the build did is not summed up"
_PRUNE = "old records are not removed"
_PUBLISH = "the builds are not in the step's summary"


@dataclass(frozen=True)
class Keeper:
    """Keeps the records of a run's builds; they run in threads of their own.

    What fails here is a warning, said once: no record or report fails a build that succeeded.

    Args:
        run: the run's name.
        client: the way to the engine.
        announce: is told what cannot be kept.
        records: the records, by identity.
    """

    run: str
    client: Client
    announce: Announce
    records: dict[str, BuildRecord] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _warned: set[str] = field(default_factory=set)

    def note(self, spec: BuildSpec, record: BuildRecord) -> None:
        """Keep the record of a build that ended, for the first time or after it was repeated."""
        kept = replace(record, run=self.run)
        with self._tolerant(_RECORD):
            kept = recorded_inputs.noted(kept, build_inputs.collect(spec))
        with self._lock:
            before = self.records.get(spec.identity)
            if before:
                kept = replace(kept, attempts=before.attempts + kept.attempts)
            self.records[spec.identity] = kept
        self._write(kept)

    def complete(self, spec: BuildSpec, built: Built) -> None:
        """Add the steps of a build that BuildKit's own display has shown."""
        if built.record.steps:
            return
        with self._lock:
            kept = self.records[spec.identity]
        with self._tolerant(_REPLAY):
            steps = runner.complete(self.client, spec, built)
            kept = replace(
                kept,
                steps=steps.steps,
                imports=steps.imports,
                export=steps.export,
                warnings=steps.warnings,
                digests=steps.digests,
            )
        with self._lock:
            self.records[spec.identity] = kept
        self._write(kept)

    def skip(self, spec: BuildSpec, digest: str) -> None:
        """Keep that an image was tagged in place of being built."""
        record = runner.begun(self.client, spec, ())
        self.note(spec, replace(record, outcome="skipped", digest=digest, attempts=0))

    def refuse(self, spec: BuildSpec) -> None:
        """Keep that a build could not be made, which was known before it began."""
        record = runner.begun(self.client, spec, ())
        refused = replace(record, outcome="failed", failure="engine", message=spec.run.refused)
        self.note(spec, replace(refused, attempts=0))

    def sum_up(self, spec: BuildSpec, show: Announce) -> None:
        """Say what a build did that is alone, before what it made is said.

        Args:
            spec: the build.
            show: is told the lines.
        """
        record = self.records[spec.identity]
        with self._tolerant(_SUMMARY):
            if record.steps:
                for line in terminal.brief(record):
                    show(f"  {line}")
        self.explain(record, show)

    def explain(self, record: BuildRecord, show: Announce) -> None:
        """Say why a build ran what the build before had made; nothing if it did not."""
        if not any(step.ran for step in record.steps):
            return
        with self._tolerant(_SUMMARY):
            from build_tasks.history.explain import explain, explanation  # noqa: PLC0415 - start-up time

            before = journal.previous(record, self.announce)
            if before is not None:
                lines = explanation.lines(explain(before, record))
                for line in (*cache_errors.called_out(before, record), *lines):
                    show(line.removeprefix(f"{record.identity}: "))

    def close(self) -> None:
        """Remove old records, and add the builds to the summary of a step of GitHub Actions."""
        with self._tolerant(_PRUNE):
            for record in [*self.records.values()][-1:]:
                journal.prune(record)
        if "GITHUB_STEP_SUMMARY" in os.environ:
            with self._tolerant(_PUBLISH):
                step_summary.publish(list(self.records.values()))

    def _write(self, record: BuildRecord) -> None:
        with self._tolerant(_RECORD):
            journal.write(record)

    @contextlib.contextmanager
    def _tolerant(self, what: str) -> Iterator[None]:
        """Warn once if the block fails."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the image is made
            with self._lock:
                first = what not in self._warned
                self._warned.add(what)
            if first:
                named = (
                    "" if isinstance(error, ImagesError | OSError) else f"{type(error).__name__}: "
                )
                self.announce(f"warning: {what}: {named}{error}")
