"""What each session and task does: read the options, call the rooms, say what came of it.

Answers go to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from build_tasks import (
    baseline,
    buildx,
    capabilities,
    constraints,
    matrix,
    plan,
    settings,
)
from build_tasks.buildx import Built
from build_tasks.errors import RegistryError, UsageError, VerificationError
from build_tasks.matrix import Build, ImageKind, Names, Platform
from build_tasks.options import Options
from build_tasks.spec import BuildSpec, Output

if TYPE_CHECKING:
    from build_tasks.figures import Report


def build(options: Options) -> None:
    """Build the images that the options select, one after another."""
    _build(options)


def push_image(options: Options) -> None:
    """Build, which the cache makes short, and push the images to their registry."""
    _build(options, output=None if options.flag("push-by-digest") else Output.PUSH)


def push_cache(options: Options) -> None:
    """Build, which the cache makes short, and write the caches to the registry."""
    _build(options, output=Output.NONE, push_cache=True)


def merge_image(options: Options) -> None:
    """Join images that were pushed by digest, here or elsewhere, under their tag."""
    from build_tasks import platforms  # noqa: PLC0415 - start-up time

    platforms.merge_written(options, options.settings(), announce=_say)


def verify_image(options: Options) -> None:
    """Verify that an image holds what it says: the one named, or the one that a build makes."""
    from build_tasks import images  # noqa: PLC0415 - start-up time
    from build_tasks.verify import suite  # noqa: PLC0415 - start-up time

    options = images.spelt_out(options)
    junit = suite.report(options.text("junit"))
    goal = images.to_verify(options, options.settings(), announce=_say)
    results = suite.verify(
        goal,
        junit=junit,
        quiet=options.flag("json"),
        select=options.text("select") or "",
    )
    if options.flag("json"):
        print(json.dumps({"image": goal.image.reference, "checks": results}, indent=2))
    failed = [one for one in results if one["outcome"] == "failed"]
    if failed:
        first = failed[0]
        why = first["message"].partition("\n")[0]
        raise VerificationError(
            f"{goal.image.reference}: {len(failed)} of {len(results)} checks failed, first "
            f"{first['check']}: {why}"
        )
    _say(f"{goal.image.reference}: holds what it says, {len(results)} checks")


def save_image(options: Options) -> None:
    """Save an image of the engine's to a file, which says what is in it."""
    from build_tasks import archive, images  # noqa: PLC0415 - start-up time

    where, header = images.to_save(options, options.settings(), announce=_say)
    file = Path(options.text("file") or f"{header.identity}.tar.zst")
    size = archive.save(where.client, header, file)
    _say(f"{header.identity}: saved {header.image} to {file}, {size / 1e6:.0f} MB")


def load_image(options: Options) -> None:
    """Load an image from a file that image.save wrote, and check that it is what the file says."""
    from build_tasks import archive  # noqa: PLC0415 - start-up time

    name = options.text("file")
    if not name:
        raise UsageError("name the file to load, like prod-3.11-amd64.tar.zst")
    header = archive.header(Path(name))
    chosen = options.settings()
    asked = {
        "kind": plan.items(options.text("kind")),
        "python": plan.items(options.text("python")),
        "platform": [platform.value for platform in chosen.platforms],
    }
    for key, valid in asked.items():
        if valid and getattr(header, key) not in valid:
            has = getattr(header, key)
            raise UsageError(f"{name}: is for {key} {has}, not {matrix.listed(valid)}")
    where = plan.site(chosen, start=True, announce=_say)
    archive.load(where.client, Path(name))
    _say(f"{header.identity}: loaded {header.image}")


def prune_cache(options: Options) -> None:
    """Remove a builder's cache, or say what would go."""
    from build_tasks import housekeeping  # noqa: PLC0415 - start-up time

    _figures(housekeeping.pruned(options, announce=_say), options)


def show_usage(options: Options) -> None:
    """Print what builders and cache references keep, in bytes."""
    from build_tasks import housekeeping  # noqa: PLC0415 - start-up time

    _figures(housekeeping.used(options, announce=_say), options)


def create_builder(options: Options) -> None:
    """Make sure that a dedicated builder exists, runs and is as images.toml has it."""
    from build_tasks import workshop  # noqa: PLC0415 - start-up time

    workshop.create(options, announce=_say)


def list_builders(options: Options) -> None:
    """Print the builders that can be named, and whether they run."""
    from build_tasks import workshop  # noqa: PLC0415 - start-up time

    rows = workshop.rows(options, announce=_say)
    if options.flag("json"):
        print(json.dumps(rows, indent=2))
    else:
        columns = ("builder", "driver", "status", "platforms", "from")
        _table(columns, [[_text(row[column]) for column in columns] for row in rows])


def inspect_builder(options: Options) -> None:
    """Print what a builder's nodes are and run, and where they differ from images.toml."""
    from build_tasks import workshop  # noqa: PLC0415 - start-up time

    seen = workshop.seen(options, announce=_say)
    if options.flag("json"):
        print(json.dumps(seen, indent=2))
    else:
        _table(("builder", ""), workshop.lines(seen))


def remove_builder(options: Options) -> None:
    """Remove a dedicated builder and its cache."""
    from build_tasks import workshop  # noqa: PLC0415 - start-up time

    workshop.remove(options, announce=_say)


def start_engine(options: Options) -> None:
    """Start the embedded engine, if it does not run."""
    from build_tasks.engine import embedded  # noqa: PLC0415 - not where Docker runs

    asked = plan.items(options.text("emulate"))
    emulate = [Platform.parse(text, "--emulate").architecture for text in asked]
    engine = embedded.start(announce=_say, emulate=emulate)
    _say(f"the embedded engine runs: DOCKER_HOST={engine.host}, registry {engine.registry}")


def show_engine(options: Options) -> None:
    """Print whether the embedded engine runs, and where it keeps what."""
    from build_tasks.engine import embedded  # noqa: PLC0415 - not where Docker runs

    status = embedded.status()
    if options.flag("json"):
        print(json.dumps(status, indent=2))
    else:
        _table(("engine", ""), [(key, _text(value)) for key, value in status.items()])


def stop_engine(options: Options) -> None:
    """Stop what starting the embedded engine started, and nothing else."""
    from build_tasks.engine import embedded  # noqa: PLC0415 - not where Docker runs

    stopped = embedded.purge() if options.flag("purge") else embedded.stop()
    for line in stopped or ["the embedded engine does not run"]:
        _say(line)


def generate_constraints(options: Options) -> None:
    """Resolve the versions that the images of some Pythons install, and write them down."""
    chosen = options.settings()
    asked = plan.items(options.text("python")) or chosen.pythons
    for text in asked:
        python = matrix.parse_python(text, "--python", chosen.pythons)
        constraints.generate(python, chosen, upgrade=options.flag("upgrade"), announce=_say)
        baseline.follow(python, announce=_say)


def show_settings(options: Options) -> None:
    """Print each setting, its value and where it came from."""
    rows = settings.rows(options.settings())
    if options.flag("json"):
        print(json.dumps({key: {"value": _plain(v), "from": o} for key, v, o in rows}, indent=2))
    else:
        _table(("setting", "value", "from"), [(key, _text(v), origin) for key, v, origin in rows])


def show_matrix(options: Options) -> None:
    """Print every build that can be asked for, with its session, image and cache reference."""
    chosen = options.settings()
    names = Names(chosen.registry or plan.UPSTREAM_REGISTRY, chosen.repository, chosen.branch)
    rows = [
        {
            "identity": one.identity,
            "session": f"build_{one.identity}",
            "kind": one.kind.value,
            "python": one.python,
            "platform": one.platform.value,
            "airflow": chosen.airflow_for(one.python),
            "image": names.image(one),
            "cache": names.cache(one),
            "merge": f"merge_{one.kind}-{one.python}",
        }
        for one in (
            Build(kind, python, platform)
            for kind in ImageKind
            for python in chosen.pythons
            for platform in chosen.platforms or tuple(Platform)
        )
    ]
    if options.flag("json"):
        print(json.dumps({"include": rows}, indent=2))
    else:
        columns = ("identity", "airflow", "image")
        _table(columns, [[row[column] for column in columns] for row in rows])


def _build(options: Options, *, output: Output | None = None, push_cache: bool = False) -> None:
    chosen = options.settings()
    where, builds = plan.specs(options, chosen, output=output, push_cache=push_cache, announce=_say)
    if options.flag("dry-run"):
        from build_tasks import platforms  # noqa: PLC0415 - start-up time

        for line in platforms.lines(where.client, builds):
            print(line)
        return
    if chosen.builder in chosen.builders:
        from build_tasks import workshop  # noqa: PLC0415 - start-up time

        workshop.prepare(where, announce=_say)
    capabilities.require(where.client, builds, announce=_say)
    if any(spec.part or spec.also for spec in builds):
        from build_tasks import digests, platforms  # noqa: PLC0415 - start-up time

        folder = digests.folder(options.text("digests"))
        platforms.build(where.client, builds, folder, report=_report, announce=_say)
        return
    for spec in builds:
        _report(buildx.build(where.client, spec), spec)


def _report(built: Built, spec: BuildSpec) -> None:
    """Say what a build made; a cache that was asked for and not written is never passed over."""
    if spec.cache.export and not built.cache_exported:
        lost = f"{built.identity}: the cache was not written to {spec.cache.export}"
        if spec.output is Output.NONE and not spec.tags:
            raise RegistryError(f"{lost}: the reason stands above, at 'exporting cache'")
        _say(f"warning: {lost}: the reason stands above, at 'exporting cache'")
    made = {
        Output.LOAD: f"loaded {', '.join(spec.tags)}",
        Output.PUSH: f"pushed {', '.join(spec.tags)}",
        Output.DIGEST: f"pushed {spec.image}",
        Output.NONE: f"wrote {spec.cache.export}" if spec.cache.export else "built",
    }[spec.output]
    digest = f" {built.digest}" if built.digest and spec.output is not Output.NONE else ""
    _say(f"{built.identity}: {made}{digest}")


def _figures(report: Report, options: Options) -> None:
    if options.flag("json"):
        print(json.dumps(report.data, indent=2))
    else:
        for columns, rows in report.tables:
            _table(columns, rows)
        for line in report.notes:
            _say(line)
    if report.failed:
        raise report.failed


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415 - start-up time

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    # A pipe has no width: what reads it wants whole lines.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
