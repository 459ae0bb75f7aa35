"""Run the builds of a plan, several at once, and report their results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from time import gmtime, strftime

from build_tasks import console, paths, process
from build_tasks.batch import bases, build_jobs, summary
from build_tasks.batch.build_jobs import BatchContext
from build_tasks.batch.run_recorder import RunRecorder
from build_tasks.batch.schedule import Outcome, Rules, Schedule, State
from build_tasks.builders import nodes
from build_tasks.buildx.cache_lookup import Lookup
from build_tasks.config.options import Options
from build_tasks.model.build import BuildSpec
from build_tasks.model.builder import DEFAULT
from build_tasks.plan.build_host import BuildHost
from build_tasks.process import Announce
from build_tasks.progress import choice
from build_tasks.publish import digests, merge

RETRIES = 2
#: Default number of builds at once, for each core and at most for each node of a builder. Eight
#: builds from the cache took 4.1 to 4.9 s at once, 4.8 to 5.9 s by fours and 5.3 to 6.2 s by twos
#: (two cores, three rounds); of builds that run their steps, more at once only want more memory.
JOBS_PER_CORE = 4
JOBS_PER_NODE = 8


def build(
    host: BuildHost, specs: Sequence[BuildSpec], options: Options, *, announce: Announce
) -> None:
    """Run builds, of which those of one image are next to each other, and report their results.

    Raises:
        ImagesError: the error of the build that failed; SeveralErrors if several did.
    """
    rules = _rules(options, host.nodes)
    caches = Lookup(host.client, specs[0].run.builder, local=host.local)
    # The registries answer while the rest is prepared.
    caches.start(spec for spec in specs if not spec.output.reuse.candidates)
    if len(specs) > 1 and specs[0].run.builder != DEFAULT:
        nodes.start(host.client, specs[0].run.builder)  # or all builds would start it at once
    run_id = f"{strftime('%Y%m%d-%H%M%S', gmtime())}-{os.urandom(4).hex()}"
    specs = [replace(spec, run=replace(spec.run, run_id=run_id)) for spec in specs]
    specs = bases.of_run(specs, run_id)
    logs = paths.cache_folder() / "logs" / run_id
    display = choice.display(
        specs[0].run.progress, logs, several=len(specs) > 1, verbose=options.flag("verbose")
    )
    at_once = min(rules.slots, len(specs))
    context = BatchContext(
        host.client.beside(at_once - 1) if at_once > 1 else host.client,
        digests.folder(options.text("digests"), host.settings.project),
        display,
        RunRecorder(run_id, host.client, announce),
        caches,
        len(specs) == 1,
    )
    jobs = build_jobs.jobs(context, specs)
    display.expect([job.name for job in jobs])
    schedule = Schedule(jobs, rules, display)
    try:
        with display, process.stoppable_threads() as stop:
            schedule.run(stop)
    finally:
        caches.end()
        bases.remove_layouts(specs)
        _report(context, schedule.results(), announce)
    folder = context.folder if options.text("digests") else None
    _announce_failures(context, folder, specs, schedule.results(), announce)
    if error := summary.error(schedule.results()):
        raise error


def _rules(options: Options, nodes: int) -> Rules:
    jobs, retries = options.number("jobs"), options.number("retries")
    default = nodes * min(JOBS_PER_NODE, JOBS_PER_CORE * (os.cpu_count() or 1))
    return Rules(
        slots=default if jobs is None else jobs,
        retries=RETRIES if retries is None else retries,
        fail_fast=options.flag("fail-fast"),
    )


def _report(context: BatchContext, outcomes: Sequence[Outcome], announce: Announce) -> None:
    """Announce the table of outcomes, show why steps ran again, and write the step's summary."""
    recorder = context.recorder
    for outcome in outcomes:
        if outcome.state is State.CANCELLED:
            recorder.cancel(outcome.name)
    if len(outcomes) > 1:
        width = choice.columns() if console.stderr_is_terminal() else None
        for row in summary.table(outcomes, width):
            announce(row)
        for identity, record in recorder.records.items():
            for line in recorder.explain(record):
                context.display.show(identity, line)
    recorder.close()


def _announce_failures(
    context: BatchContext,
    folder: Path | None,
    specs: Sequence[BuildSpec],
    outcomes: Sequence[Outcome],
    announce: Announce,
) -> None:
    """Announce what need not be built again, and the logs of the builds that failed."""
    not_built = {outcome.name for outcome in outcomes if outcome.state is not State.BUILT}
    for _, group in groupby(specs, key=lambda spec: spec.output.image):
        of_image = list(group)
        parts = [context.parts[s.identity] for s in of_image if s.identity in context.parts]
        missing = [spec for spec in of_image if spec.identity in not_built]
        if parts and missing:
            hint = merge.resume_hint(folder, parts, missing, of_image[0].output.tags)
            announce(f"{missing[0].identity}: {hint}")
    for outcome in outcomes:
        log = context.display.path(outcome.name)
        if len(outcomes) > 1 and outcome.error and log.exists():
            announce(f"{outcome.name}: its log is {log}")
