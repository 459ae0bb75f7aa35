"""The extras of a release of Airflow.

uv only warns of an unknown extra, and installs nothing for it. So the names are recorded beside the
constraints, and checked before a build.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from build_tasks import paths
from build_tasks.config.project import Project
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files, requirement_files
from build_tasks.constraints.constraint_files import normalize
from build_tasks.constraints.resolver import Uv
from build_tasks.errors import UsageError
from build_tasks.process import Announce
from build_tasks.text.formatting import plural

#: A requirement of Airflow with extras.
_AIRFLOW = re.compile(r"(?i)apache[-_.]+airflow\s*\[(?P<extras>[^\]]+)\]")
_HEADER = "# Made by `airflow-images constraints.generate`: the extras of apache-airflow {airflow}."


def path(project: Project, airflow: str) -> Path:
    """Return the file with the extras of a release."""
    return project.path(f"constraints/extras-{airflow}.txt")


@dataclass(frozen=True)
class Provided:
    """The extras that an Airflow has.

    Args:
        airflow: its version.
        names: the extras.
        place: what has them: a file of this project, a wheel, or sources.
    """

    airflow: str
    names: Collection[str]
    place: str


def check(settings: Settings, python: str, *, slim: bool = False) -> None:
    """Raise UsageError if the release of a Python lacks an extra of the settings; see `compare`.

    Without a file of extras, the build itself fails.
    """
    airflow = settings.airflow_for(python)
    file = path(settings.project, airflow)
    if file.exists():
        provided = Provided(airflow, constraint_files.lines(file), str(file))
        compare(settings, python, provided, slim=slim)


def compare(settings: Settings, python: str, provided: Provided, *, slim: bool) -> None:
    """Raise UsageError if an Airflow lacks an extra of the settings, with the nearest one.

    A slim image gets only the extras that requirements name.
    """
    known = {normalize(name) for name in provided.names}
    for place, extra in _wanted(settings, python, slim=slim):
        if normalize(extra) not in known:
            near = difflib.get_close_matches(normalize(extra), sorted(known), n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"{provided.place} has all"
            raise UsageError(f"{place}: Airflow {provided.airflow} has no extra {extra!r}: {hint}")


def _wanted(settings: Settings, python: str, *, slim: bool) -> Iterator[tuple[str, str]]:
    """Yield the extras that an image gets, each with its place."""
    for extra in () if slim else settings.airflow_extras:
        yield settings.origins["airflow.extras"], extra
    for place, text in requirement_files.read(settings, python).requirements:
        match = _AIRFLOW.match(text)
        for extra in match["extras"].split(",") if match else ():
            yield place, extra.strip()


def refresh(python: str, settings: Settings, uv: Uv, *, announce: Announce) -> None:
    """Write the file of extras for the release of a Python, if there is none.

    Raises:
        AuthError: the package index refuses the credentials, or requires some.
        DependencyError: the package index has no such release.
        NetworkError: the package index is unreachable.
    """
    airflow = settings.airflow_for(python)
    file = path(settings.project, airflow)
    if file.exists():
        return
    names = uv.extras(python, airflow)
    header = _HEADER.format(python=python, airflow=airflow)
    paths.write(file, "\n".join((header, *names, "")))
    announce(f"{constraint_files.place(file)}: {plural(len(names), 'extra')}")
