"""The baseline: a rarely changing set of versions, which images install in their first layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from build_tasks import paths
from build_tasks.config import profiles
from build_tasks.config.project import SHIPPED, Project
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files
from build_tasks.constraints.constraint_files import AIRFLOW, ALL, Pins, own_path, path, place
from build_tasks.constraints.resolver import Uv
from build_tasks.model.matrix import ImageKind, Platform
from build_tasks.process import Announce
from build_tasks.text import hints

#: The fraction of a baseline, by the size of its wheels, that may be out of date. A CI image
#: carries that much below what replaces it; docs/caching.md has the costs of the bound.
BOUND = 0.2
_MODES = {ImageKind.PROD: "baseline", ImageKind.CI: "baseline-ci"}
_HEADER = """\
# Made by `airflow-images constraints.generate`: the first packages of {image} on Python {python}.
# Beside each version the bytes of its wheel; made anew when a fifth is out of date.
"""
_LINE = re.compile(r"(?P<name>\S+)==(?P<version>\S+)\s+#\s+(?P<size>\d+)")

#: Bytes of wheels by name and version.
Sizes = Mapping[tuple[str, str], int]


def read(file: Path) -> Sizes:
    """Return the sizes in a baseline.

    Raises:
        UsageError: the file is missing, or a line is not a pin with a size.
    """
    lines = constraint_files.parse(file, _LINE, "a pin and size like name==1.2.3  # 4567")
    return {(line["name"], line["version"]): int(line["size"]) for _, line in lines}


def stale_fraction(part: Sizes, whole: Sizes) -> float:
    """Return the fraction of a set, by size, that another set does not have; 0 to 1."""
    missing = sum(size for pin, size in part.items() if pin not in whole)
    return missing / (sum(part.values()) or 1)


def select(settings: Settings, python: str, kind: ImageKind, announce: Announce) -> str:
    """Return the mode of the constraints for the first layer of an image.

    A stale baseline is not used: its layer would stay in the image below what replaces it.

    Raises:
        UsageError: the baseline or the constraints are unusable.
    """
    project = settings.project
    if kind is ImageKind.PROD and settings.prod_slim:
        return constraint_files.CORE
    mode = _MODES[kind]
    checkout = kind is ImageKind.CI and settings.ci_checkout
    if path(project, python, mode).parents[1] == SHIPPED:  # not made for the project's own extras
        few = checkout or profiles.own_list(settings, kind)
        mode = _MODES[ImageKind.CI if few else ImageKind.PROD]
    file = path(project, python, mode)
    pins = path(project, python, constraint_files.FROM_SOURCES if checkout else ALL)
    current = dict.fromkeys(constraint_files.read(pins).items(), 0)
    first = read(file)
    if checkout:  # the first layer has neither Airflow nor providers
        first = {pin: size for pin, size in first.items() if not pin[0].startswith(AIRFLOW)}
    old = stale_fraction(first, current)
    if old <= BOUND:
        return mode
    options = ("--from-sources",) if checkout else ()
    announce(
        f"{place(file)}: not used: {old:.0%} is out of date and {BOUND:.0%} may be: "
        f"one changed version installs all again: run: {hints.constraints(python, *options)}"
    )
    # What an image lacks of all constraints, its first layer must not have.
    return constraint_files.CORE if kind is ImageKind.CI else ALL


def refresh(
    python: str,
    settings: Settings,
    uv: Uv,
    needed: Callable[[ImageKind], Pins],
    *,
    announce: Announce,
) -> None:
    """Write the project's baselines of a Python again if too much of one is stale.

    Args:
        python: the Python of the images.
        settings: the effective settings.
        uv: uv on this machine.
        needed: returns what an image installs from the index.
        announce: says what is kept and what is written.

    Raises:
        UsageError: the constraints are unusable.
        AuthError: the package index refuses the credentials, or requires some.
        NetworkError: the package index is unreachable.
    """
    for kind in ImageKind:
        if message := _refresh(python, settings.project, uv, kind, needed(kind)):
            announce(message)


def _refresh(python: str, project: Project, uv: Uv, kind: ImageKind, pins: Pins) -> str:
    """Write the baseline of an image again if too much of it is stale, and return a message."""
    mode = _MODES[kind]
    file = path(project, python, mode)
    before = read(file) if file.exists() else {}
    if before.keys() == set(pins.items()):
        return ""
    wheels = uv.wheel_sizes(python, Platform.AMD64, constraint_files.pins_text(pins))
    sizes = {(name, version): wheels[name] for name, version in pins.items()}
    old, new = stale_fraction(before, sizes), stale_fraction(sizes, before)
    if before and max(old, new) <= BOUND:
        return f"{place(file)}: kept, {old:.0%} is out of date and {new:.0%} is new"
    lines = (f"{name}=={version}  # {size}\n" for (name, version), size in sorted(sizes.items()))
    header = _HEADER.format(python=python, image=kind.upper())
    paths.write(own_path(project, python, mode), header + "".join(lines))
    return f"{place(file)}: written, {sum(sizes.values()) / 1e6:.0f} MB of wheels"
