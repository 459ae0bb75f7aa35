"""Constraints files: versions that images install, resolved by uv and checked before a build."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from build_tasks import paths
from build_tasks.config import parsing, profiles
from build_tasks.config.project import Project, installed
from build_tasks.config.settings import Settings
from build_tasks.constraints import requirement_files
from build_tasks.constraints.requirement_files import Requirement
from build_tasks.constraints.resolver import Uv
from build_tasks.errors import UsageError
from build_tasks.model.matrix import ImageKind, Platform
from build_tasks.process import Announce
from build_tasks.text import hints
from build_tasks.text.formatting import plural

#: Versions by name, names as PyPI normalizes them.
Pins = Mapping[str, str]

ALL, CORE = "constraints", "constraints-no-providers"
FROM_SOURCES = "constraints-source-providers"
_HEADER = "# Made by `airflow-images constraints.generate`: Airflow {airflow} on Python {python}."
_NOTES = {
    ALL: "# The images install exactly these versions.",
    CORE: "# Airflow alone: providers, and what they need, are free.",
    FROM_SOURCES: "# All but the distributions of Airflow that come from its sources.",
}
AIRFLOW, PROVIDER = "apache-airflow", "apache-airflow-providers-"
_MADE_FOR = re.compile(r"^# Made by `.*`: Airflow (\S+) on Python (\d+\.\d+)\.$", re.MULTILINE)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PIN = re.compile(rf"({NAME.pattern})==([A-Za-z0-9.!+_-]+)")


class Change(NamedTuple):
    """A package that differs between two sets of versions.

    Args:
        package: its name.
        old: its former version, None if it was added.
        new: its version, None if it was removed.
    """

    package: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        """Return a line for people."""
        if self.old is None:
            return f"+ {self.package} {self.new}"
        if self.new is None:
            return f"- {self.package} {self.old}"
        return f"  {self.package} {self.old} -> {self.new}"


def path(project: Project, python: str, mode: str = "constraints") -> Path:
    """Return the constraints file of a Python, the project's or the package's."""
    return project.path(_name(python, mode))


def own_path(project: Project, python: str, mode: str = "constraints") -> Path:
    """Return the project's own constraints file, which may not exist yet."""
    return project.root / _name(python, mode)


def _name(python: str, mode: str) -> str:
    return f"constraints/{mode}-{python}.txt"


def place(file: Path) -> str:
    """Return how messages name a file."""
    name = f"{file.parent.name}/{file.name}"
    return f"the package's {name}" if installed(file) else name


def normalize(name: str) -> str:
    """Return the name of a package or an extra as PyPI normalizes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_text(file: Path) -> str:
    """Return the text of a file of versions.

    Raises:
        UsageError: it cannot be read, or has Windows line endings.
    """
    if not file.exists():
        python = file.stem.rpartition("-")[2]
        raise UsageError(f"{place(file)}: not found: run: {hints.constraints(python)}")
    text = paths.read_text(file)
    if "\r" in text:
        raise UsageError(
            f"{place(file)}: has Windows line endings (CRLF), which the image's shell would take "
            "for a part of the versions: convert it to LF (.gitattributes: eol=lf)"
        )
    return text


def parse(
    file: Path, pattern: re.Pattern[str], expected: str
) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield the place and the match of each line that is neither empty nor a comment.

    Raises:
        UsageError: the file cannot be read, or a line does not match the pattern.
    """
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = pattern.fullmatch(line.strip())
        if not match:
            raise UsageError(f"{place(file)}:{number}: expected {expected}, got {line!r}")
        yield f"{place(file)}:{number}", match


def read(file: Path) -> Pins:
    """Return the pins of a constraints file.

    Raises:
        UsageError: the file is missing, or a line is not a pin, or a package is pinned twice.
    """
    pins: dict[str, str] = {}
    for line, pin in parse(file, PIN, "a pin like name==1.2.3"):
        name = normalize(pin[1])
        if name in pins:
            raise UsageError(f"{line}: {name} is pinned twice")
        pins[name] = pin[2]
    return pins


def lines(file: Path) -> list[str]:
    """Return the lines of a file of versions, without comments.

    Raises:
        UsageError: it cannot be read.
    """
    return list(_numbered(read_text(file)).values())


def _numbered(text: str) -> dict[int, str]:
    """Return the lines of a text by their numbers, without comments and without empty ones."""
    stripped = (line.partition("#")[0].strip() for line in text.splitlines())
    return {number: line for number, line in enumerate(stripped, 1) if line}


def check(file: Path, python: str, *airflow: str) -> None:
    """Raise UsageError unless a file has the constraints of a Python and of a version of Airflow.

    Args:
        file: the constraints.
        python: the Python.
        airflow: the versions, one of which has to be that of the file.
    """
    pins, made_for = read(file), _MADE_FOR.search(read_text(file))
    remedy = f"run: {hints.constraints(python)}"
    if not made_for:
        raise UsageError(f"{place(file)}: no header with Airflow's version and Python: {remedy}")
    if made_for[2] != python:
        raise UsageError(f"{place(file)}: is for Python {made_for[2]}, not {python}: {remedy}")
    from_sources = file.name.startswith(f"{FROM_SOURCES}-")  # has no pin of Airflow
    pinned = made_for[1] if from_sources else pins.get(AIRFLOW, "no version")
    if pinned != made_for[1] or pinned not in airflow:
        expected = " or ".join(dict.fromkeys(airflow))
        raise UsageError(f"{place(file)}: has Airflow {pinned}, not {expected}: {remedy}")


def release(file: Path) -> str:
    """Return the release of Airflow that a file of the suite is for, empty if it does not say so.

    Raises:
        UsageError: it cannot be read.
    """
    made_for = _MADE_FOR.search(read_text(file))
    return made_for[1] if made_for else ""


def check_lines(text: str, place: str) -> None:
    """Raise UsageError unless a text is a constraints file that pip accepts."""
    constraints = _numbered(text)
    if not constraints:
        raise UsageError(f"{place}: has no constraint")
    for number, constraint in constraints.items():
        try:
            parsing.parse_requirement(constraint)
        except ValueError:
            raise UsageError(
                f"{place}:{number}: expected a constraint like name==1.2.3, got {constraint!r}"
            ) from None


def requirements(settings: Settings, python: str, *kinds: ImageKind) -> tuple[str, ...]:
    """Return the requirements of images of a Python, by default of all."""
    kinds, release = kinds or tuple(ImageKind), settings.airflow_for(python)
    airflow: dict[str, None] = {}
    for kind in kinds:
        extras = ",".join(profiles.names(profiles.extras(settings, kind, release)))
        airflow[f"{AIRFLOW}[{extras}]=={release}" if extras else f"{AIRFLOW}=={release}"] = None
    return (*airflow, *(text for _, text in added(settings, python, *kinds)))


def added(settings: Settings, python: str, *kinds: ImageKind) -> list[Requirement]:
    """Return the requirements of images beside Airflow, each with its place."""
    place = settings.origins["ci.test-packages"]
    tests = settings.ci_test_packages if ImageKind.CI in kinds else ()
    return [
        *requirement_files.read(settings, python).requirements,
        *(Requirement(place, text) for text in tests),
    ]


def limits(settings: Settings, python: str) -> list[Requirement]:
    """Return what the settings exclude, each with its place."""
    place = settings.origins["constraints.limits"]
    return [
        *(Requirement(place, text) for text in settings.constraints_limits),
        *requirement_files.read(settings, python).limits,
    ]


def generate(python: str, settings: Settings, uv: Uv, *, upgrade: bool, announce: Announce) -> None:
    """Resolve the constraints of a Python, write the project's files of all modes, and say changes.

    Versions in the present file are kept where they fit, unless `upgrade` asks for the newest.

    Raises:
        DependencyError: no versions fit together.
        AuthError: the package index refuses the credentials, or requires some.
        NetworkError: the package index is unreachable.
    """
    file, airflow = path(settings.project, python), settings.airflow_for(python)
    before = read(file) if file.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        excluded, pins, output = (Path(folder) / name for name in ("limits", "pins", "output"))

        def resolve(platform: Platform, wanted: str, constraints: Path, target: Path) -> Pins:
            uv.compile_into(target, python, platform, wanted, constraints)
            return read(target)

        lines = (text for _, text in limits(settings, python))
        excluded.write_text("\n".join(lines), encoding="utf-8")
        if before and not upgrade:
            pins.write_text(pins_text(before), encoding="utf-8")
        wanted = "\n".join(requirements(settings, python))
        resolved = dict(resolve(Platform.AMD64, wanted, excluded, pins))
        # The other platform has to use the same versions, and may need further packages.
        resolved |= resolve(Platform.ARM64, wanted, pins, output)
        pins.write_text(pins_text(resolved), encoding="utf-8")
        core: dict[str, str] = {}
        for platform in Platform:
            core |= resolve(platform, f"{AIRFLOW}=={airflow}", pins, output)
    modes = {
        ALL: resolved,
        CORE: without(core, PROVIDER),
        FROM_SOURCES: without(resolved, AIRFLOW),
    }
    write(settings.project, python, airflow, modes)
    for change in changes(before, resolved):
        announce(str(change))
    announce(f"{place(file)}: {plural(len(resolved), 'package')}")


def write(project: Project, python: str, airflow: str, modes: Mapping[str, Pins]) -> None:
    """Write the project's own files of the modes of a Python."""
    for mode, pins in modes.items():
        header = _HEADER.format(python=python, airflow=airflow)
        text = f"{header}\n{_NOTES[mode]}\n{pins_text(pins)}"
        paths.write(own_path(project, python, mode), text)


def needed(python: str, settings: Settings, uv: Uv, kind: ImageKind) -> Pins:
    """Return the constraints of a Python that one image installs.

    Raises:
        UsageError: the constraints are unusable.
        AuthError: the package index refuses the credentials, or requires some.
        NetworkError: the package index is unreachable.
    """
    wanted, pins = "\n".join(requirements(settings, python, kind)), dict[str, str]()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        for platform in Platform:
            uv.compile_into(output, python, platform, wanted, path(settings.project, python))
            pins |= read(output)
    return pins


def without(pins: Pins, prefix: str) -> Pins:
    """Return the pins of packages whose names do not begin with a prefix."""
    return {name: version for name, version in pins.items() if not name.startswith(prefix)}


def changes(before: Pins, after: Pins) -> list[Change]:
    """Return each package that was added, removed or has another version, by name."""
    return [
        Change(name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def pins_text(pins: Pins) -> str:
    """Return pins as the lines of a file."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
