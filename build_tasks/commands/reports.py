"""Report builds, settings and the matrix."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from build_tasks.commands.output import show, show_json
from build_tasks.config import loading, profiles, schema
from build_tasks.config.options import FORMATS, Options
from build_tasks.config.parsing import Choice
from build_tasks.config.settings import Settings
from build_tasks.console import answer, message, stdout_is_terminal
from build_tasks.constraints import extras
from build_tasks.errors import DiskError, UsageError
from build_tasks.history import journal, serialization
from build_tasks.history.record import BuildRecord
from build_tasks.model import own_image
from build_tasks.model.matrix import ImageKind, Platform
from build_tasks.plan import build_host
from build_tasks.report import documents, page, step_summary, terminal
from build_tasks.text.formatting import plural

#: The format that the suffix of an output file means.
_SUFFIXES = {".md": "markdown", ".json": "json", ".xml": "junit", ".html": "html"}


def report_image(options: Options) -> None:
    """Report builds, by default those of the last run."""
    output = options.text("output")
    name = _format(options, output)
    if name == "html" and not output and stdout_is_terminal():
        raise UsageError("--format html: name a file with --output, like report.html")
    renderers: dict[str, Callable[[Sequence[BuildRecord]], str]] = {
        "table": terminal.summary,
        "markdown": step_summary.markdown,
        "json": lambda records: f"{json.dumps(serialization.to_report(records), indent=2)}\n",
        "junit": documents.junit,
        "html": page.html,
    }
    records = journal.find(options.text("record") or journal.LAST, announce=message)
    rendered = renderers[name](records)
    if not output:
        answer(rendered, end="")
        return
    content = rendered.encode(errors="surrogateescape")
    try:
        Path(output).write_bytes(content)
    except OSError as error:
        raise DiskError(f"--output: {output} cannot be written: {error.strerror}") from None
    message(f"wrote {output}: {len(content) / 1e3:.0f} kB, {plural(len(records), 'build')}")


def _format(options: Options, output: str | None) -> str:
    option = options.text("format")
    if options.flag("json"):
        if option not in {None, "json"}:
            raise UsageError(f"--json and --format {option} exclude each other: give one of them")
        return "json"
    if option:
        return Choice("format", FORMATS)(option, "--format")
    return _SUFFIXES.get(Path(output or "").suffix, "table")


def show_settings(options: Options) -> None:
    """Print each setting, its value and its origin."""
    if options.flag("schema"):
        show_json(schema.make())
        return
    settings = options.settings()
    rows = [*loading.rows(settings), *dict.fromkeys(_of_images(settings))]
    data = {key: {"value": value, "from": origin} for key, value, origin in rows}
    show(options, data, ("setting", "value", "from"), rows)


def _of_images(settings: Settings) -> Iterator[tuple[str, object, str]]:
    """Yield what the images get that no key says by itself, and what it comes from."""
    for airflow, python in {settings.airflow_for(one): one for one in settings.pythons}.items():
        for kind in ImageKind:
            chosen = profiles.extras(settings, kind, airflow)
            places = dict.fromkeys(place for place, _ in chosen)
            key = f"{kind}: extras of Airflow {airflow}"
            yield key, profiles.names(chosen), ", ".join(places) or "prod.profile"
            for one in extras.debian_packages(settings, kind, python, airflow):
                yield f"{kind}: Debian packages of {one.extra}", one.build + one.runtime, one.place
    profile = settings.origins["prod.profile"]
    place = profile if settings.prod_slim else settings.origins["prod.clients"]
    yield "prod: clients", profiles.clients(settings), place
    yield "prod: programs", profiles.programs(settings), profile


def show_matrix(options: Options) -> None:
    """Print all builds of the matrix; with --json as a matrix of GitHub Actions."""
    settings = options.settings()
    names = build_host.names(settings)
    builds = [
        own_image.build(settings.images, name, python, platform)
        for name in own_image.in_order(settings.images, settings.image_names)
        for python in settings.pythons
        for platform in settings.platforms or tuple(Platform)
    ]
    rows = [
        {
            "identity": build.identity,
            "session": f"build_{build.identity}",
            "kind": build.image_name,
            "from": settings.images[build.name].base if build.name else "",
            "python": build.python,
            "platform": build.platform.value,
            "airflow": settings.airflow_for(build.python),
            "image": names.image(build),
            "cache": names.cache(build),
            "merge": f"merge_{build.image_name}-{build.python}",
        }
        for build in builds
    ]
    columns = ("identity", "from", "airflow", "image")
    show(options, {"include": rows}, columns, [[row[column] for column in columns] for row in rows])
