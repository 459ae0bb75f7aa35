"""The versions that images install: resolved by uv, written down, and checked before a build."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from build_tasks import paths
from build_tasks.config.settings import ROOT, Settings
from build_tasks.constraints import resolver
from build_tasks.errors import UsageError
from build_tasks.model.matrix import Platform
from build_tasks.text.formatting import plural

_FROM_SOURCES = "constraints-source-providers"
_HEADER = "# Made by `nox -s constraints-{python}`: Airflow {airflow} on Python {python}."
_NOTES = {
    "constraints": "# The images install exactly these versions.",
    "constraints-no-providers": "# Airflow alone: providers, and what they need, are free.",
    _FROM_SOURCES: "# All but Airflow and its providers, which come from sources.",
}
_AIRFLOW, _PROVIDER = "apache-airflow", "apache-airflow-providers-"
_MADE_FOR = re.compile(r"# Made by `.*`: Airflow (\S+) on Python (\d+\.\d+)\.$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!+_-]+)$")


def path(root: Path, python: str, mode: str = "constraints") -> Path:
    """Return where the constraints of a Python stand, in one of the modes."""
    return root / "constraints" / f"{mode}-{python}.txt"


def read(file: Path) -> Mapping[str, str]:
    """Return the pinned versions by name, names as PyPI normalises them.

    Raises:
        UsageError: the file is not there, or a line is no pin, or one that stands there twice.
    """
    pins: dict[str, str] = {}
    for number, line in enumerate(text_lines(file), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _PIN.match(line.strip())
        if not found:
            raise UsageError(f"{place(file)}:{number}: {line!r} is no pin like name==1.2.3")
        name = re.sub(r"[-_.]+", "-", found["name"]).lower()
        if name in pins:
            raise UsageError(f"{place(file)}:{number}: {name} stands there twice")
        pins[name] = found["version"]
    return pins


def check(file: Path, python: str, airflow: str) -> None:
    """Raise unless a file has the constraints of this Python and this release of Airflow.

    Raises:
        UsageError: it is missing, malformed, or for something else.
    """
    pins = read(file)
    remedy = f"run: nox -s constraints-{python}"
    made_for = next((found for line in text_lines(file) if (found := _MADE_FOR.match(line))), None)
    if made_for is None:
        raise UsageError(f"{place(file)}: no line says what it was made for: {remedy}")
    if made_for[2] != python:
        raise UsageError(f"{place(file)}: is for Python {made_for[2]}, not {python}: {remedy}")
    from_sources = file.name.startswith(f"{_FROM_SOURCES}-")  # there Airflow has no pin
    has = made_for[1] if from_sources else pins.get(_AIRFLOW, "no version")
    if has != airflow or made_for[1] != airflow:
        raise UsageError(f"{place(file)}: has Airflow {has}, not {airflow}: {remedy}")


def check_lines(text: str, place: str) -> None:
    """Raise unless a text is a file of constraints as pip takes them.

    Raises:
        UsageError: a line is no requirement on a version; or there is none.
    """
    from packaging.requirements import (  # noqa: PLC0415 - start-up time
        InvalidRequirement,
        Requirement,
    )

    lines = [
        (number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1)
    ]
    for number, line in lines:
        try:
            if line:
                Requirement(line)
        except InvalidRequirement:
            raise UsageError(
                f"{place}:{number}: {line!r} is no constraint like name==1.2.3"
            ) from None
    if not any(line for _, line in lines):
        raise UsageError(f"{place}: has no constraint")


def unpinned(file: Path, wanted: Iterable[str]) -> list[str]:
    """Return the requirements whose version neither they themselves nor a file of versions fix.

    Args:
        file: constraints.
        wanted: requirements.
    """
    found = [match for line in lines(file) if (match := _NAME.match(line))]
    known = {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found}
    free = []
    for text in wanted:
        name = _NAME.match(text)
        fixed = "===" in text or " @ " in text or re.search(r"==(?!.*\*)", text.partition(";")[0])
        if name and not fixed and re.sub(r"[-_.]+", "-", name[0]).lower() not in known:
            free.append(text)
    return free


def requirements(settings: Settings, python: str) -> tuple[str, ...]:
    """Return what the images of a Python are asked to install."""
    extras = f"[{','.join(settings.airflow_extras)}]" if settings.airflow_extras else ""
    airflow = f"apache-airflow{extras}=={settings.airflow_for(python)}"
    return (airflow, *settings.dependencies_python, *settings.ci_test_packages)


def generate(
    python: str, settings: Settings, *, upgrade: bool, announce: Callable[[str], None]
) -> Path:
    """Resolve the constraints of a Python and write them down in all modes; return the file.

    Versions that are written down and still fit are kept, unless newer ones are asked for.

    Args:
        python: the version of Python.
        settings: what is installed.
        upgrade: take the newest versions.
        announce: is told what changed.

    Raises:
        DependencyError: no versions fit together.
        NetworkError: the package index cannot be reached.
    """
    import tempfile  # noqa: PLC0415 - start-up time

    file = path(ROOT, python)
    wanted = "\n".join(requirements(settings, python))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        limits, first, second = (work / name for name in ("limits.txt", "first.txt", "second.txt"))
        limits.write_text("\n".join(settings.constraints_limits), encoding="utf-8")
        if file.exists() and not upgrade:
            first.write_text(pins_text(read(file)), encoding="utf-8")
        resolved = _resolve(python, Platform.AMD64, wanted, limits, first)
        # The other platform must do with the same versions, and may need packages of its own.
        resolved |= _resolve(python, Platform.ARM64, wanted, first, second)
        first.write_text(pins_text(resolved), encoding="utf-8")
        bare = f"apache-airflow=={settings.airflow_for(python)}"
        core = _resolve(python, Platform.AMD64, bare, first, second)
        core |= _resolve(python, Platform.ARM64, bare, first, second)
    before = read(file) if file.exists() else {}
    modes = {
        "constraints": resolved,
        "constraints-no-providers": {
            name: version for name, version in core.items() if not name.startswith(_PROVIDER)
        },
        _FROM_SOURCES: {
            name: version for name, version in resolved.items() if not name.startswith(_AIRFLOW)
        },
    }
    for mode, pins in modes.items():
        header = _HEADER.format(python=python, airflow=settings.airflow_for(python))
        write(path(ROOT, python, mode), f"{header}\n{_NOTES[mode]}\n{pins_text(pins)}")
    for line in changes(before, resolved):
        announce(line)
    announce(f"{place(file)}: {plural(len(resolved), 'package')}")
    return file


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return a line for each package that came, went or has another version."""
    lines = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None:
            lines.append(f"+ {name} {new}")
        elif new is None:
            lines.append(f"- {name} {old}")
        elif old != new:
            lines.append(f"  {name} {old} -> {new}")
    return lines


def write(file: Path, text: str) -> None:
    """Write a file of versions, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    paths.write(file, text)


def _resolve(
    python: str, platform: Platform, wanted: str, pins: Path, output: Path
) -> dict[str, str]:
    resolver.compile_into(output, python, platform, wanted, pins)
    return dict(read(output))


def lines(file: Path) -> list[str]:
    """Return the constraints of a file, without comments.

    Raises:
        UsageError: it cannot be read.
    """
    stripped = (line.partition("#")[0].strip() for line in text_lines(file))
    return [line for line in stripped if line]


def text_lines(file: Path) -> list[str]:
    """Return the lines of a file of versions, as they are.

    Raises:
        UsageError: it cannot be read, or has Windows line endings.
    """
    try:
        text = paths.read_text(file)
    except FileNotFoundError:
        python = file.stem.rpartition("-")[2]
        raise UsageError(f"{place(file)}: not there: run: nox -s constraints-{python}") from None
    if "\r" in text:
        raise UsageError(
            f"{place(file)}: has Windows line endings (CRLF), which the image's shell would take "
            "for a part of the versions: convert it to LF (.gitattributes: eol=lf)"
        )
    return text.splitlines()


def pins_text(pins: Mapping[str, str]) -> str:
    """Return pins as a file has them, one a line."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))


def place(file: Path) -> str:
    """Return how errors name a file of versions."""
    return f"{file.parent.name}/{file.name}"
