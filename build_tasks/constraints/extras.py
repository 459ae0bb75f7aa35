"""The extras that a release of Airflow has.

uv installs nothing for an extra that is unknown, and only warns of it. So the names are written
down beside the constraints, and what is asked for is checked against them before a build.
"""

from __future__ import annotations

import difflib
import re
import sys
import tempfile
from collections.abc import Callable
from email.parser import HeaderParser
from pathlib import Path

from build_tasks import process
from build_tasks.config.settings import ROOT, Settings
from build_tasks.constraints import constraint_files
from build_tasks.errors import NetworkError, UsageError
from build_tasks.text.formatting import plural

#: Seconds for uv to get one small wheel.
_INSTALL = 300.0
_HEADER = "# Made by `nox -s constraints-{python}`: the extras of apache-airflow {airflow}."


def path(root: Path, airflow: str) -> Path:
    """Return where the extras of a release stand."""
    return root / "constraints" / f"extras-{airflow}.txt"


def check(settings: Settings, python: str) -> None:
    """Raise unless the release of Airflow has the extras that are asked for.

    Where the names are not written down, the build itself finds out.

    Raises:
        UsageError: it lacks one; the message names the nearest.
    """
    airflow = settings.airflow_for(python)
    file = path(ROOT, airflow)
    if not file.exists():
        return
    known = {_normal(name) for name in constraint_files.lines(file)}
    for extra in settings.airflow_extras:
        if _normal(extra) not in known:
            near = difflib.get_close_matches(_normal(extra), sorted(known), n=3)
            advice = f"did you mean {' or '.join(near)}?" if near else f"{file} has all"
            place = settings.origins["airflow.extras"]
            raise UsageError(f"{place}: Airflow {airflow} has no extra {extra!r}: {advice}")


def refresh(python: str, settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Write down the extras of the release that a Python has, if they are not there yet.

    Raises:
        NetworkError: the package index cannot be reached, or has no such release.
    """
    airflow = settings.airflow_for(python)
    file = path(ROOT, airflow)
    if file.exists():
        return
    names = _of_release(python, airflow)
    header = _HEADER.format(python=python, airflow=airflow)
    constraint_files.write(file, "\n".join((header, *names, "")))
    announce(f"{constraint_files.place(file)}: {plural(len(names), 'extra')}")


def _of_release(python: str, airflow: str) -> list[str]:
    from uv import find_uv_bin  # noqa: PLC0415 - start-up time

    with tempfile.TemporaryDirectory() as folder:
        command = (
            *(find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", folder),
            *("--python", sys.executable, "--python-version", python, f"apache-airflow=={airflow}"),
        )
        ended = process.run(command, timeout=_INSTALL, check=False)
        metadata = Path(folder) / f"apache_airflow-{airflow}.dist-info" / "METADATA"
        if ended.returncode or not metadata.exists():
            reason = " ".join(re.sub(r"[^\x00-\x7f]", "", ended.stderr).split())
            raise NetworkError(f"the extras of Airflow {airflow}: {reason}")
        parsed = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
    return sorted(parsed.get_all("Provides-Extra") or [])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
