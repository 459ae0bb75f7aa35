"""Build what a plan has: at once as far as there is place, each with its own process of buildx."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from build_tasks import console, paths, process
from build_tasks.batch import build_jobs, schedule, summary
from build_tasks.batch.build_jobs import BatchContext
from build_tasks.batch.recorder import Keeper
from build_tasks.batch.schedule import Outcome, Rules, State
from build_tasks.buildx.cache_lookup import Lookup
from build_tasks.config.options import Options
from build_tasks.errors import ImagesError, UsageError
from build_tasks.model.build import BuildSpec
from build_tasks.model.builder import DEFAULT
from build_tasks.plan.build_host import BuildHost
from build_tasks.progress import choice
from build_tasks.progress.base import Display
from build_tasks.publish import digests, multiplatform

Announce = Callable[[str], None]
RETRIES = 2
#: Builds at once for each core, and at most for each node of a builder. Eight that the cache
#: answers took 4.1 to 4.9 s at once, 4.8 to 5.9 s by fours and 5.3 to 6.2 s by twos (two cores,
#: three rounds); of those that it does not answer, more at once only want more memory.
AT_ONCE = 4
MOST = 8
#: The most that `--jobs` and `--retries` take.
_MANY = 1000


def build(
    host: BuildHost, specs: Sequence[BuildSpec], options: Options, *, announce: Announce
) -> None:
    """Build, and say what came of it.

    Args:
        host: where to build.
        specs: the builds, those of one image next to each other.
        options: what a person gave.
        announce: is told what concerns all of them.

    Raises:
        ImagesError: what failed; its class says in which way, after the rule of `verdict`.
    """
    rules = _rules(host, options)
    folder = digests.folder(options.text("digests"))
    caches = Lookup(host.client, specs[0].run.builder, local=host.local)
    caches.start(
        spec for spec in specs if not spec.output.skip_unchanged
    )  # while the rest is prepared
    if len(specs) > 1:
        _warm(host, specs[0].run.builder)
    run = _name()
    specs = [replace(spec, run=replace(spec.run, run_id=run)) for spec in specs]
    logs = paths.cache_folder() / "logs" / run
    display = choice.display(specs[0].run.progress, logs, several=len(specs) > 1)
    line = display.line if display.takes_lines else None
    keeper = Keeper(run, host.client, announce)
    at_once = min(rules.slots, len(specs))
    client = host.client.beside(at_once - 1) if at_once > 1 else host.client
    here = BatchContext(client, folder, display.say, keeper, caches, line, len(specs) == 1)
    jobs = build_jobs.jobs(here, specs)
    display.expect([job.name for job in jobs])
    watch = _Watch(display, [])
    try:
        with display:
            schedule.run(jobs, rules, watch, stop=process.end_others)
    finally:
        caches.end()
        process.allow_others()
        order = [*display.rows]
        outcomes = sorted(watch.outcomes, key=lambda one: order.index(one.name))
        if len(order) > 1:
            width = choice.columns() if console.stderr_is_terminal() else None
            for row in summary.lines(outcomes, width):
                announce(row)
            for record in keeper.records.values():
                keeper.explain(record, partial(_named, announce, record.identity))
        keeper.close()
    _raise(here, specs, outcomes, display, announce)


def _raise(
    context: BatchContext,
    specs: Sequence[BuildSpec],
    outcomes: Sequence[Outcome],
    display: Display,
    announce: Announce,
) -> None:
    kept = _kept(context, specs, outcomes)
    failed = [one for one in outcomes if one.state is State.FAILED]
    if len(failed) > 1:
        for name, text in kept.items():
            announce(f"{name}: {text}")
    if len(outcomes) > 1:
        for one in (one for one in failed if display.path(one.name).exists()):
            announce(f"{one.name}: its log is {display.path(one.name)}")
    error = summary.error(outcomes, kept)
    if error:
        raise error


def _kept(
    context: BatchContext, specs: Sequence[BuildSpec], outcomes: Sequence[Outcome]
) -> dict[str, str]:
    """Return, by the name of an image's first build that failed, what is kept of the image."""
    bad = {one.name for one in outcomes if one.state is not State.BUILT}
    said = {}
    for _, of_image in groupby(specs, key=lambda spec: spec.output.image):
        mine = list(of_image)
        parts = [context.parts[spec.identity] for spec in mine if spec.identity in context.parts]
        missing = [spec for spec in mine if spec.identity in bad]
        if parts and missing:
            said[missing[0].identity] = multiplatform.resume_hint(
                context.folder, parts, missing, mine[0].output.tags
            )
    return said


def _named(announce: Announce, name: str, line: str) -> None:
    announce(f"{name}: {line}")


@dataclass(frozen=True)
class _Watch:
    """Passes on to the display what the schedule says, and keeps the outcomes."""

    display: Display
    outcomes: list[Outcome]

    def began(self, name: str) -> None:
        self.display.began(name)

    def again(self, name: str, error: ImagesError, seconds: float) -> None:
        self.display.again(name, error, seconds)

    def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        # What was ended failed because of that, and has nothing to say of its own.
        error = outcome.error if outcome.state is State.FAILED else None
        self.display.ended(outcome.name, outcome.state, error, outcome.seconds)


def _rules(host: BuildHost, options: Options) -> Rules:
    jobs = _number(options, "jobs", least=1)
    retries = _number(options, "retries", least=0)
    return Rules(
        slots=_slots(host) if jobs is None else jobs,
        retries=RETRIES if retries is None else retries,
        fail_fast=options.flag("fail-fast"),
    )


def _slots(host: BuildHost) -> int:
    """Return how many builds run at once unless somebody says so, for all nodes together."""
    return host.nodes * min(MOST, AT_ONCE * (os.cpu_count() or 1))


def check(options: Options) -> None:
    """Raise UsageError if an option that says how builds are run is wrong; nothing is started."""
    _number(options, "jobs", least=1)
    _number(options, "retries", least=0)


def _number(options: Options, name: str, *, least: int) -> int | None:
    text = options.text(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or not least <= int(text[:20]) <= _MANY:
        raise UsageError(
            f"--{name}: expected an integer from {least} to {_MANY}, not {text[:40]!r}"
        )
    return int(text)


def _warm(host: BuildHost, builder: str) -> None:
    """Start a builder before many builds would do it at once."""
    if builder == DEFAULT:
        return
    from build_tasks.builders import creation  # noqa: PLC0415 - not on the way of a build

    creation.started(host.client, builder)


def _name() -> str:
    """Return a name for this run: of its metadata, logs and records.

    A process id would not do: containers that share a cache folder have the same ones.
    """
    from time import gmtime, strftime  # noqa: PLC0415 - start-up time

    return f"{strftime('%Y%m%d-%H%M%S', gmtime())}-{os.urandom(4).hex()}"
