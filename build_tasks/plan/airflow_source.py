"""Where an image's Airflow comes from, and which constraints it follows."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from build_tasks import paths
from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files, extras, requirement_files, resolver
from build_tasks.constraints.extras import Provided
from build_tasks.errors import UsageError
from build_tasks.model.matrix import ImageKind
from build_tasks.plan import airflow_checkout
from build_tasks.process import Announce

#: The method of a CI image whose distributions are those of a checkout.
CHECKOUT = "checkout"
#: The folder of wheels in the project.
WHEELS = "docker-context-files"
#: Files that may be in the folder of wheels.
_HARMLESS = {"README.md", ".gitignore", ".gitkeep", loading.REQUIREMENTS}


#: The distributions of Airflow's sources; a build of providers from sources has no pins of them.
_SOURCES = frozenset(("apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk"))
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


class Wheel(NamedTuple):
    """A wheel, and its version."""

    file: Path
    version: str


@dataclass(frozen=True)
class Installation:
    """How Airflow gets into an image.

    Args:
        method: `release`, `wheels` or `sources`, as in the PROD image's Dockerfile; or CHECKOUT, in
            a CI image.
        version: the release of Airflow.
        constraints: the constraints file to follow.
        contexts: folders of named build contexts, by the stage that they replace.
        local: distributions that do not come from the index, to which no pin applies.
        extras: those of Airflow, in a CI image.
    """

    method: str
    version: str
    constraints: Path
    contexts: Mapping[str, Path] = field(default_factory=dict)
    local: frozenset[str] = frozenset()
    extras: tuple[str, ...] = ()

    @property
    def kind(self) -> ImageKind:
        """The image that it is for."""
        return ImageKind.CI if self.method == CHECKOUT else ImageKind.PROD


def find(settings: Settings, python: str, announce: Announce) -> Installation:
    """Return the installation that the settings select for a Python; sources are fetched.

    Raises:
        UsageError: a wheel, a folder, a reference or a constraints file is unusable; or there are
            files in docker-context-files/ that would not be used.
        NetworkError: the repository or the constraints cannot be fetched.
        MissingProgram: git is not installed.
    """
    constraints, release = constraints_file(settings, python), settings.airflow_for(python)
    _refuse_unused_requirements(settings, python)
    if settings.airflow_from == "wheels":
        installation = _from_wheels(settings, python, constraints)
    else:
        _refuse_leftovers(settings.project.root / WHEELS)
        if settings.airflow_from == "release":
            installation = Installation("release", release, constraints)
        else:
            installation = _from_sources(settings, python, constraints, announce)
    if not settings.constraints_location:
        # Sources and wheels follow the constraints of the release, or those made from sources.
        constraint_files.check(constraints, python, release, installation.version)
        return installation
    contexts = {**installation.contexts, "constraints": constraints.parent}
    return replace(installation, contexts=contexts)


def _from_wheels(settings: Settings, python: str, constraints: Path) -> Installation:
    folder = settings.project.root / WHEELS
    wheels = _check_wheels(folder, settings.origins["airflow.from"])
    version = settings.airflow_for(python)
    if airflow := wheels.get("apache-airflow"):
        version, place = airflow.version, f"{WHEELS}/{airflow.file.name}"
        provided = Provided(version, _wheel_extras(airflow.file, place), place)
        extras.compare(settings, python, provided, ImageKind.PROD)
    else:
        extras.check(settings, python, ImageKind.PROD)
    contexts = {"wheels": folder}
    return Installation("wheels", version, constraints, contexts, frozenset(wheels))


def _from_sources(
    settings: Settings, python: str, constraints: Path, announce: Announce
) -> Installation:
    place = settings.origins["airflow.from"]
    start = settings.path("airflow.from", ".")
    folder, version = airflow_checkout.find(settings.airflow_from, place, announce, start)
    names = airflow_checkout.extras(folder, place)
    if names is not None:
        provided = Provided(version, names, str(folder / "pyproject.toml"))
        extras.compare(settings, python, provided, ImageKind.PROD)
    return Installation("sources", version, constraints, {"sources": folder}, _SOURCES)


def constraints_file(settings: Settings, python: str) -> Path:
    """Return the constraints file that the PROD image of a Python follows."""
    if settings.constraints_location:
        return _copy_constraints(settings, python)
    return constraint_files.path(settings.project, python, settings.constraints_mode)


def _refuse_leftovers(folder: Path) -> None:
    for file in _wheel_files(folder):
        raise UsageError(
            f"{folder.name}/{file.name}: would not be used: remove it, or install it with "
            "--airflow-from wheels"
        )


def _refuse_unused_requirements(settings: Settings, python: str) -> None:
    """Raise UsageError for a requirements.txt where the official image's build looks for it."""
    path = f"{WHEELS}/{loading.REQUIREMENTS}"
    used = requirement_files.read(settings, python).files
    if (settings.project.root / path).exists() and path not in used:
        raise UsageError(
            f"{path}: would not be used: name it in images.toml: [dependencies] "
            f'python = ["-r {path}"]'
        )


def _wheel_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.name not in _HARMLESS)


def _check_wheels(folder: Path, place: str) -> dict[str, Wheel]:
    """Return the wheels by the names of their distributions.

    Raises:
        UsageError: there is none, or something that is no wheel, or two of one distribution.
    """
    files = _wheel_files(folder)
    if not files:
        raise UsageError(f"{place}: there is no wheel in {folder.name}/")
    wheels: dict[str, Wheel] = {}
    for file in files:
        path = f"{folder.name}/{file.name}"
        if file.is_symlink() or not file.is_file():
            raise UsageError(f"{path}: is no file; links are not followed")
        try:
            name, version, _, _ = parse_wheel_filename(file.name)
        except InvalidWheelFilename:
            raise UsageError(f"{path}: is no wheel, like NAME-1.0-py3-none-any.whl") from None
        if name in wheels:
            raise UsageError(f"{path}: there is another wheel of {name}")
        wheels[name] = Wheel(file, str(version))
    return wheels


def _wheel_extras(file: Path, place: str) -> list[str]:
    """Return the extras of a wheel.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(file) as wheel:
            name = next(name for name in wheel.namelist() if _METADATA.fullmatch(name))
            return resolver.provided_extras(wheel.read(name).decode())
    except StopIteration:
        raise UsageError(f"{place}: is no wheel: it has no METADATA") from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{place}: is no wheel: {error}") from None


def _copy_constraints(settings: Settings, python: str) -> Path:
    """Return a copy of the user's constraints, alone in a folder that is named by its content.

    A build context is a folder, and the user's folder may have other files.
    """
    place = settings.origins["constraints.location"]
    location = settings.constraints_location.replace("{python}", python)
    if "://" in location:
        from build_tasks.plan import download  # noqa: PLC0415 - urllib is slow

        text = download.text(location, place, settings.ca_bundle_file)
    else:
        try:
            text = paths.read_text(settings.path("constraints.location", location))
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
    text = text.replace("\r\n", "\n")  # the image's shell compares lines
    constraint_files.check_lines(text, f"{place}: {location}")
    return paths.keep("constraints", {"constraints.txt": text.encode()}) / "constraints.txt"
