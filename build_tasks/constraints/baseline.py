"""The versions that images install first: a set that changes seldom, below what differs from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from build_tasks.config.settings import ROOT
from build_tasks.constraints import constraint_files, resolver
from build_tasks.errors import UsageError
from build_tasks.model.matrix import Platform

#: How much of the set, by the size of its wheels, may be out of date. In a CI image that much lies
#: below what replaced it; docs/caching.md says what the bound costs and what it spares.
BOUND = 0.2
#: The names of the files that a first layer can be made of.
BASELINE, CURRENT, CORE = "baseline", "constraints", "constraints-no-providers"
_HEADER = (
    "# Made by `nox -s constraints-{python}`: what the images of Python {python} install first."
)
_NOTE = "# Beside each version the bytes of its wheel; made anew when a fifth is out of date."
_LINE = re.compile(r"(?P<pin>\S+==\S+)\s+#\s+(?P<size>\d+)$")

Sizes = Mapping[tuple[str, str], int]


def read(file: Path) -> Sizes:
    """Return the size of each wheel of a baseline in bytes, by name and version.

    Raises:
        UsageError: the file is not there, or a line has no pin and size.
    """
    sizes = {}
    for line in constraint_files.text_lines(file):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.match(line.strip())
        if not found:
            raise UsageError(
                f"{constraint_files.place(file)}: {line!r} is no pin and size "
                "like name==1.2.3  # 4567"
            )
        name, _, version = found["pin"].partition("==")
        sizes[name, version] = int(found["size"])
    return sizes


def stale_fraction(part: Sizes, whole: Sizes) -> float:
    """Return how much of a set, by size, another one does not have; 0 to 1."""
    missing = sum(size for one, size in part.items() if one not in whole)
    return missing / (sum(part.values()) or 1)


def select(root: Path, python: str, *, slim: bool, announce: Callable[[str], None]) -> str:
    """Return the name of the file that the first layer of an image is made of.

    A baseline that too much has left behind is not used: the image would carry it along.

    Args:
        root: the folder of the project.
        python: the image's Python.
        slim: the image has Airflow alone.
        announce: is told if the baseline is too old.

    Raises:
        UsageError: the baseline or the constraints are unusable.
    """
    if slim:
        return CORE
    file = constraint_files.path(root, python, BASELINE)
    current = dict.fromkeys(constraint_files.read(constraint_files.path(root, python)).items(), 0)
    old = stale_fraction(read(file), current)
    if old <= BOUND:
        return BASELINE
    announce(
        f"{constraint_files.place(file)}: not used: {old:.0%} is out of date "
        f"and {BOUND:.0%} may be: "
        f"one changed version installs all again: run: nox -s constraints-{python}"
    )
    return CURRENT


def refresh(python: str, *, announce: Callable[[str], None]) -> None:
    """Write the baseline of a Python anew if its constraints have left too much of it behind.

    Args:
        python: the version of Python, whose constraints are written down.
        announce: is told what is done.

    Raises:
        UsageError: the constraints are unusable.
        NetworkError: the package index cannot be reached.
    """
    file = constraint_files.path(ROOT, python, BASELINE)
    pins = constraint_files.read(constraint_files.path(ROOT, python))
    before = read(file) if file.exists() else {}
    if before.keys() == set(pins.items()):
        return
    wheels = resolver.wheel_sizes(python, Platform.AMD64, constraint_files.pins_text(pins))
    sizes = {(name, version): wheels[name] for name, version in pins.items()}
    old, new = stale_fraction(before, sizes), stale_fraction(sizes, before)
    if before and max(old, new) <= BOUND:
        announce(
            f"{constraint_files.place(file)}: kept, {old:.0%} is out of date and {new:.0%} is new"
        )
        return
    lines = [f"{name}=={version}  # {size}" for (name, version), size in sorted(sizes.items())]
    constraint_files.write(file, "\n".join([_HEADER.format(python=python), _NOTE, *lines, ""]))
    announce(
        f"{constraint_files.place(file)}: made anew, {sum(sizes.values()) / 1e6:.0f} MB of wheels"
    )
