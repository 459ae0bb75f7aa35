"""Where the PROD image's Airflow comes from, and which constraints it follows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from build_tasks import paths
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files
from build_tasks.errors import UsageError
from build_tasks.plan import airflow_checkout
from build_tasks.process import Announce

#: The folder of wheels in the project.
WHEELS = "docker-context-files"
#: Files that may be in the folder of wheels.
_HARMLESS = {"README.md", ".gitignore", ".gitkeep"}


@dataclass(frozen=True)
class Installation:
    """How Airflow gets into the PROD image.

    Args:
        method: `release`, `wheels` or `sources`, as in the Dockerfile.
        version: the release of Airflow.
        constraints: the constraints file to follow.
        contexts: folders of named build contexts, by the stage that they replace.
    """

    method: str
    version: str
    constraints: Path
    contexts: Mapping[str, Path] = field(default_factory=dict)


def find(settings: Settings, python: str, announce: Announce) -> Installation:
    """Return the installation that the settings select for a Python; sources are fetched.

    Raises:
        UsageError: a wheel, a folder, a reference or a constraints file is unusable; or there are
            files in docker-context-files/ that would not be used.
        NetworkError: the repository or the constraints cannot be fetched.
        MissingProgram: git is not installed.
    """
    source, place = settings.airflow_from, settings.origins["airflow.from"]
    release, contexts = settings.airflow_for(python), dict[str, Path]()
    if source == "wheels":
        wheels = settings.project.root / WHEELS
        method, version = source, _check_wheels(wheels, place) or release
        contexts["wheels"] = wheels
    else:
        _refuse_leftovers(settings.project.root / WHEELS)
        method, version = "release", release
        if source != "release":
            method = "sources"
            contexts["sources"], version = airflow_checkout.find(source, place, announce)
    constraints = constraints_file(settings, python)
    if settings.constraints_location:
        contexts["constraints"] = constraints.parent
    else:
        constraint_files.check(constraints, python, release)
    return Installation(method, version, constraints, contexts)


def constraints_file(settings: Settings, python: str) -> Path:
    """Return the constraints file that the PROD image of a Python follows."""
    if settings.constraints_location:
        return _copy_constraints(settings, python)
    return constraint_files.path(settings.project, python, settings.constraints_mode)


def _wheel_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.name not in _HARMLESS)


def _refuse_leftovers(folder: Path) -> None:
    for file in _wheel_files(folder):
        raise UsageError(
            f"{folder.name}/{file.name}: would not be used: remove it, or install it with "
            "--airflow-from wheels"
        )


def _check_wheels(folder: Path, place: str) -> str | None:
    """Check the wheels in a folder, and return the version of Airflow's, if there is one."""
    files = _wheel_files(folder)
    if not files:
        raise UsageError(f"{place}: there is no wheel in {folder.name}/")
    versions: dict[str, str] = {}
    for file in files:
        path = f"{folder.name}/{file.name}"
        if file.is_symlink() or not file.is_file():
            raise UsageError(f"{path}: is no file; links are not followed")
        try:
            name, version, _, _ = parse_wheel_filename(file.name)
        except InvalidWheelFilename:
            raise UsageError(f"{path}: is no wheel, like NAME-1.0-py3-none-any.whl") from None
        if name in versions:
            raise UsageError(f"{path}: there is another wheel of {name}")
        versions[name] = str(version)
    return versions.get("apache-airflow")


def _copy_constraints(settings: Settings, python: str) -> Path:
    """Return a copy of the user's constraints, alone in a folder that is named by its content.

    A build context is a folder, and the user's folder may have other files.
    """
    place = settings.origins["constraints.location"]
    location = settings.constraints_location.replace("{python}", python)
    if "://" in location:
        from build_tasks.plan import download  # noqa: PLC0415 - urllib is slow

        text = download.text(location, place)
    else:
        try:
            text = paths.read_text(paths.expand_user(location))
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
    text = text.replace("\r\n", "\n")  # the image's shell compares lines
    constraint_files.check_lines(text, f"{place}: {location}")
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    file = paths.cache_folder() / "constraints" / digest / "constraints.txt"
    if not file.exists():
        # The temporary file is elsewhere, because another process may send the folder meanwhile.
        paths.write(file, text, aside=file.parents[1])
        paths.normalize_modes(file.parent)
    return file
