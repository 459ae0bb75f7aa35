"""What was built, what is set, and what can be built."""

from __future__ import annotations

import json
from pathlib import Path

from build_tasks import console
from build_tasks.commands.output import plain, say, table, text
from build_tasks.config import settings
from build_tasks.config.options import FORMATS, Options
from build_tasks.errors import DiskError, UsageError
from build_tasks.history import journal, serialization
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.plan import build_host
from build_tasks.report import junit_xml, page, step_summary, terminal
from build_tasks.text.formatting import listed, plural

#: What a file's name says of its form.
_SUFFIXES = {".md": "markdown", ".json": "json", ".xml": "junit", ".html": "html"}


def report_image(options: Options) -> None:
    """Print what builds did: those of the last run, or those that are named."""
    output = options.text("output")
    form = _form(options, output)
    if form == "html" and not output and console.stdout_is_terminal():
        raise UsageError("--format html: name a file with --output, like report.html")
    records = journal.find(options.text("of") or journal.LAST, announce=say)
    made = {
        "table": terminal.summary,
        "markdown": step_summary.markdown,
        "json": lambda some: f"{json.dumps(serialization.to_report(some), indent=2)}\n",
        "junit": junit_xml.junit,
        "html": page.html,
    }[form](records)
    if not output:
        console.answer(made, end="")
        return
    content = made.encode(errors="surrogateescape")
    try:
        Path(output).write_bytes(content)
    except OSError as error:
        raise DiskError(f"--output: {output} cannot be written: {error.strerror}") from None
    say(f"wrote {output}: {len(content) / 1e3:.0f} kB, {plural(len(records), 'build')}")


def _form(options: Options, output: str | None) -> str:
    asked = options.text("format") or ("json" if options.flag("json") else None)
    form = asked or _SUFFIXES.get(Path(output or "").suffix, "table")
    if form not in FORMATS:
        raise UsageError(f"--format: unknown format {form!r}: choose {listed(FORMATS)}")
    if options.flag("json") and form != "json":
        raise UsageError(f"--json and --format {form} exclude each other: give one of them")
    return form


def show_settings(options: Options) -> None:
    """Print each setting, its value and where it came from."""
    rows = settings.rows(options.settings())
    if options.flag("json"):
        console.answer(
            json.dumps(
                {key: {"value": plain(v), "from": o} for key, v, o in rows}, indent=2, default=str
            )
        )
    else:
        table(("setting", "value", "from"), [(key, text(v), origin) for key, v, origin in rows])


def show_matrix(options: Options) -> None:
    """Print every build that can be asked for, with its session, image and cache reference."""
    settings = options.settings()
    names = build_host.names(settings)
    rows = [
        {
            "identity": one.identity,
            "session": f"build_{one.identity}",
            "kind": one.kind.value,
            "python": one.python,
            "platform": one.platform.value,
            "airflow": settings.airflow_for(one.python),
            "image": names.image(one),
            "cache": names.cache(one),
            "merge": f"merge_{one.kind}-{one.python}",
        }
        for one in (
            Build(kind, python, platform)
            for kind in ImageKind
            for python in settings.pythons
            for platform in settings.platforms or tuple(Platform)
        )
    ]
    if options.flag("json"):
        console.answer(json.dumps({"include": rows}, indent=2))
    else:
        columns = ("identity", "airflow", "image")
        table(columns, [[row[column] for column in columns] for row in rows])
