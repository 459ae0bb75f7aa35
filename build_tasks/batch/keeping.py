"""What is kept of the builds of a run, and what is told of them at its end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from build_tasks import building, contents, faults, freshness
from build_tasks.building import Built
from build_tasks.client import Client
from build_tasks.errors import ImagesError
from build_tasks.record import BuildRecord, journal
from build_tasks.spec import BuildSpec

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Keeper:
    """Keeps the records of a run's builds; they run in threads of their own.

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

    def note(self, spec: BuildSpec, record: BuildRecord) -> None:
        """Keep the record of a build that ended, for the first time or after it was repeated."""
        inputs = contents.gather(spec)
        kept = replace(freshness.noted(record, inputs), run=self.run)
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
        steps = building.complete(self.client, spec, built)
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
        record = building.begun(self.client, spec, ())
        self.note(spec, replace(record, outcome="skipped", digest=digest, attempts=0))

    def sum_up(self, spec: BuildSpec, show: Announce) -> None:
        """Say what a build did that is alone, before what it made is said.

        Args:
            spec: the build.
            show: is told the lines.
        """
        record = self.records[spec.identity]
        if record.steps:
            from build_tasks import report  # noqa: PLC0415 - start-up time

            for line in report.brief(record):
                show(f"  {line}")
        self.explain(record, show)

    def explain(self, record: BuildRecord, show: Announce) -> None:
        """Say why a build ran what the build before had made; nothing if it did not."""
        if not any(step.ran for step in record.steps):
            return
        from build_tasks.explain import explain, explanation  # noqa: PLC0415 - start-up time

        before = journal.previous(record, self.announce)
        if before is not None:
            lines = explanation.lines(explain(before, record))
            for line in (*faults.called_out(before, record), *lines):
                show(line.removeprefix(f"{record.identity}: "))

    def close(self) -> None:
        """Remove old records, and add the builds to the summary of a step of GitHub Actions."""
        for record in [*self.records.values()][-1:]:
            journal.prune(record)
        if "GITHUB_STEP_SUMMARY" in os.environ:
            from build_tasks import report  # noqa: PLC0415 - start-up time

            report.publish(list(self.records.values()))

    def _write(self, record: BuildRecord) -> None:
        try:
            journal.write(record)
        except ImagesError as error:
            # The image is what was asked for; a report is not worth failing for.
            self.announce(f"warning: {error}")
