"""The extras of a release of Airflow.

uv only warns of an unknown extra, and installs nothing for it. So the names are recorded beside the
constraints, and checked before a build.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from build_tasks import paths
from build_tasks.config.project import Project
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files
from build_tasks.constraints.constraint_files import normalize
from build_tasks.constraints.resolver import Uv
from build_tasks.errors import UsageError
from build_tasks.process import Announce
from build_tasks.text.formatting import plural

_HEADER = "# Made by `airflow-images constraints.generate`: the extras of apache-airflow {airflow}."


def path(project: Project, airflow: str) -> Path:
    """Return the file with the extras of a release."""
    return project.path(f"constraints/extras-{airflow}.txt")


def check(settings: Settings, python: str) -> None:
    """Raise UsageError if Airflow lacks an extra of the settings, with the nearest one.

    Without a file of extras, the build itself fails.
    """
    airflow = settings.airflow_for(python)
    file = path(settings.project, airflow)
    if not file.exists():
        return
    known = {normalize(name) for name in constraint_files.lines(file)}
    for extra in settings.airflow_extras:
        if normalize(extra) not in known:
            near = difflib.get_close_matches(normalize(extra), sorted(known), n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"{file} has all"
            origin = settings.origins["airflow.extras"]
            raise UsageError(f"{origin}: Airflow {airflow} has no extra {extra!r}: {hint}")


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
