"""Record what the builds of a run did, and summarize it at the end."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from build_tasks.buildx import runner
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError
from build_tasks.history import journal, recipe
from build_tasks.history.record import BuildRecord, Reuse
from build_tasks.model.build import BuildSpec
from build_tasks.plan import build_inputs
from build_tasks.process import Announce
from build_tasks.report import step_summary, terminal


@dataclass(frozen=True)
class RunRecorder:
    """Keeps the records of a run's builds, which run in threads.

    A record or a report that fails is a warning, given once: it never fails a build.
    """

    run: str
    client: Client
    announce: Announce
    records: dict[str, BuildRecord] = field(default_factory=dict)  # by identity
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _warned: set[str] = field(default_factory=set)

    def add(self, spec: BuildSpec, record: BuildRecord) -> None:
        """Record a build that ended, for the first time or after a retry."""
        record = replace(record, run=self.run)
        with self._warning("the record of the build is not kept"):
            record = recipe.noted(record, build_inputs.collect(spec))
        if before := self.records.get(spec.identity):  # which only this build's thread replaces
            first, last = map(datetime.fromisoformat, (before.began, record.began))
            seconds = (last - first).total_seconds()
            record = replace(
                record.continuing(before, seconds),
                began=before.began,
                seconds=round(seconds + record.seconds, 3),
                attempts=before.attempts + record.attempts,
            )
        self._keep(record)

    def add_skipped(self, spec: BuildSpec, looked: Sequence[Reuse]) -> None:
        """Record that an image was taken and not built; it is the last one looked at."""
        record = replace(
            runner.new_record(self.client, spec),
            outcome="skipped",
            digest=looked[-1].digest,
            reuse=tuple(looked),
            seconds=round(sum(one.seconds for one in looked), 3),
            attempts=0,
        )
        self.add(spec, record)

    def add_refused(self, spec: BuildSpec, error: ImagesError) -> None:
        """Record that a build could not start."""
        record = runner.new_record(self.client, spec)
        refused = replace(record, outcome="failed", failure=error.kind, message=str(error))
        self.add(spec, replace(refused, attempts=0))

    def cancel(self, identity: str) -> None:
        """Record that a build was ended; what buildx said of its end is no failure of the build."""
        if record := self.records.get(identity):
            self._keep(replace(record, outcome="cancelled", failure="", message=""))

    def summarize(self, spec: BuildSpec) -> Iterator[str]:
        """Yield lines on what the only build of a run did, and why."""
        record = self.records[spec.identity]
        with self._warning("what the build did is not summed up"):
            if record.steps:
                yield from (f"  {line}" for line in terminal.brief(record))
        yield from self.explain(record)

    def explain(self, record: BuildRecord) -> Iterator[str]:
        """Yield lines on why a build ran steps that the build before had run, if it did."""
        if record.outcome == "cancelled" or not any(step.ran for step in record.steps):
            return
        with self._warning("what the build did is not summed up"):
            # A no-op build has nothing to explain.
            from build_tasks.history.explain import (  # noqa: PLC0415 - start-up time
                explain,
                explanation,
            )

            before = journal.previous(record, self.announce)
            if before is not None:
                for line in explanation.lines(explain(before, record)):
                    yield line.removeprefix(f"{record.identity}: ")

    def close(self) -> None:
        """Remove old records, and write the summary of a GitHub Actions step."""
        with self._warning("old records are not removed"):
            for record in [*self.records.values()][-1:]:
                journal.prune(record)
        if "GITHUB_STEP_SUMMARY" in os.environ:
            with self._warning("the builds are not in the step's summary"):
                step_summary.publish(list(self.records.values()))

    def _keep(self, record: BuildRecord) -> None:
        self.records[record.identity] = record
        with self._warning("the record of the build is not kept"):
            journal.write(record)

    @contextlib.contextmanager
    def _warning(self, problem: str) -> Iterator[None]:
        """Turn any exception of the block into a warning, given once."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the image is built
            with self._lock:
                first = problem not in self._warned
                self._warned.add(problem)
            if first:
                foreseen = isinstance(error, ImagesError | OSError)
                name = "" if foreseen else f"{type(error).__name__}: "
                self.announce(f"warning: {problem}: {name}{error}")
