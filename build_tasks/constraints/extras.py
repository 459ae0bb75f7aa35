"""The extras of a release of Airflow, and the Debian packages that they need.

uv only warns of an unknown extra, and installs nothing for it. So the names are recorded beside the
constraints, and checked before a build. Debian packages are in debian.toml.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from build_tasks import paths
from build_tasks.config import profiles
from build_tasks.config.project import Project
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files, requirement_files
from build_tasks.constraints.constraint_files import normalize
from build_tasks.constraints.resolver import Uv
from build_tasks.errors import UsageError
from build_tasks.model.matrix import ImageKind
from build_tasks.process import Announce
from build_tasks.text.formatting import plural

#: A requirement of Airflow with extras, and of a provider, which has the name of an extra.
_AIRFLOW = re.compile(r"(?i)apache[-_.]+airflow\s*\[(?P<extras>[^\]]+)\]")
_PROVIDER = re.compile(r"(?i)apache[-_.]+airflow[-_.]+providers[-_.]+(?P<extra>[\w.-]+)")
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


class DebianPackages(NamedTuple):
    """The Debian packages that an extra needs.

    Args:
        extra: its name.
        place: what names the extra.
        build: packages for building the Python packages of the extra.
        runtime: packages of the image.
    """

    extra: str
    place: str
    build: tuple[str, ...]
    runtime: tuple[str, ...]


def check(settings: Settings, python: str, *kinds: ImageKind) -> None:
    """Raise UsageError if the release of a Python lacks an extra of the settings; see `compare`.

    Without a file of extras, the build itself fails.
    """
    airflow = settings.airflow_for(python)
    file = path(settings.project, airflow)
    if file.exists():
        provided = Provided(airflow, constraint_files.lines(file), str(file))
        compare(settings, python, provided, *kinds)


def compare(settings: Settings, python: str, provided: Provided, *kinds: ImageKind) -> None:
    """Raise UsageError if an Airflow lacks an extra of images, by default of all.

    The error names the nearest ones.
    """
    known = {normalize(name) for name in provided.names}
    for place, extra in _wanted(settings, python, provided.airflow, kinds or (*ImageKind,)):
        if normalize(extra) not in known:
            near = difflib.get_close_matches(normalize(extra), sorted(known), n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"{provided.place} has all"
            raise UsageError(f"{place}: Airflow {provided.airflow} has no extra {extra!r}: {hint}")


def _wanted(
    settings: Settings, python: str, airflow: str, kinds: Iterable[ImageKind]
) -> Iterator[tuple[str, str]]:
    """Yield the extras that images get, each with its place."""
    for kind in kinds:
        yield from profiles.extras(settings, kind, airflow)
    for place, text in requirement_files.read(settings, python).requirements:
        match = _AIRFLOW.match(text)
        for extra in match["extras"].split(",") if match else ():
            yield place, extra.strip()


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    """Return the content of debian.toml."""
    return paths.read_data(Path(__file__).with_name("debian.toml"))


def debian_packages(
    settings: Settings, kind: ImageKind, python: str, airflow: str
) -> list[DebianPackages]:
    """Return the Debian packages that the extras and the providers of an image need."""
    wanted = {extra: place for place, extra in _wanted(settings, python, airflow, [kind])}
    for place, text in requirement_files.read(settings, python).requirements:
        if match := _PROVIDER.match(text):
            wanted.setdefault(match["extra"], place)
    found: dict[str, DebianPackages] = {}
    for extra, place in wanted.items():
        name = normalize(extra)
        if name in _table():
            packages = _table()[name]
            build, runtime = (tuple(packages.get(key, ())) for key in ("build", "runtime"))
            found[name] = DebianPackages(name, place, build, runtime)
    return [*found.values()]


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
