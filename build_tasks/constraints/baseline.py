"""The baseline: a rarely changing set of versions, which images install in their first layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from build_tasks import paths
from build_tasks.config import profiles
from build_tasks.config.project import SHIPPED
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files
from build_tasks.constraints.constraint_files import own_path, path, place
from build_tasks.constraints.resolver import Uv
from build_tasks.model.matrix import ImageKind, Platform
from build_tasks.process import Announce
from build_tasks.text import hints

#: The fraction of a baseline, by the size of its wheels, that may be out of date. A CI image
#: carries that much below what replaces it; docs/caching.md has the costs of the bound.
BOUND = 0.2
#: The constraints that a first layer can be made of. CI may have fewer extras than PROD: what its
#: first layer has in excess would stay in the image.
CURRENT, CORE = "constraints", "constraints-no-providers"
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
        return CORE
    mode = _MODES[kind]
    if path(project, python, mode).parents[1] == SHIPPED:  # not made for the project's own extras
        checkout = kind is ImageKind.CI and settings.ci_from != "release"
        few = checkout or profiles.own_list(settings, kind)
        mode = _MODES[ImageKind.CI if few else ImageKind.PROD]
    file = path(project, python, mode)
    current = dict.fromkeys(constraint_files.read(path(project, python)).items(), 0)
    old = stale_fraction(read(file), current)
    if old <= BOUND:
        return mode
    announce(
        f"{place(file)}: not used: {old:.0%} is out of date and {BOUND:.0%} may be: "
        f"one changed version installs all again: run: {hints.constraints(python)}"
    )
    # What an image lacks of all constraints, its first layer must not have.
    return CORE if kind is ImageKind.CI else CURRENT


def refresh(python: str, settings: Settings, uv: Uv, *, announce: Announce) -> None:
    """Write the project's baselines of a Python again if too much of one is stale.

    Raises:
        UsageError: the constraints are unusable.
        AuthError: the package index refuses the credentials, or requires some.
        NetworkError: the package index is unreachable.
    """
    for kind in ImageKind:
        _refresh(python, settings, uv, kind, announce=announce)


def _refresh(
    python: str, settings: Settings, uv: Uv, kind: ImageKind, *, announce: Announce
) -> None:
    """Write the baseline of an image again if too much of it is stale."""
    project, mode = settings.project, _MODES[kind]
    file, pins = path(project, python, mode), constraint_files.needed(python, settings, uv, kind)
    before = read(file) if file.exists() else {}
    if before.keys() == set(pins.items()):
        return
    wheels = uv.wheel_sizes(python, Platform.AMD64, constraint_files.pins_text(pins))
    sizes = {(name, version): wheels[name] for name, version in pins.items()}
    old, new = stale_fraction(before, sizes), stale_fraction(sizes, before)
    if before and max(old, new) <= BOUND:
        announce(f"{place(file)}: kept, {old:.0%} is out of date and {new:.0%} is new")
        return
    lines = (f"{name}=={version}  # {size}\n" for (name, version), size in sorted(sizes.items()))
    header = _HEADER.format(python=python, image=kind.upper())
    paths.write(own_path(project, python, mode), header + "".join(lines))
    announce(f"{place(file)}: written, {sum(sizes.values()) / 1e6:.0f} MB of wheels")
