"""Additional requirements against the constraints, as far as it is known without an index.

What the required packages themselves require is only known to uv, which fails in the step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from build_tasks.config.parsing import parse_requirement
from build_tasks.constraints.constraint_files import AIRFLOW, NAME, PIN, Pins, normalize
from build_tasks.constraints.requirement_files import Requirement
from build_tasks.errors import DependencyError

if TYPE_CHECKING:
    from packaging.markers import Marker

_EXACT = re.compile(r"===| @ |==(?!.*\*)")
#: A requirement with its place, as several modules have it.
_Wanted = TypeVar("_Wanted", bound=tuple[str, str])


@dataclass(frozen=True)
class Constraints:
    """The constraints of an image.

    Args:
        name: how messages name them.
        lines: their lines, without comments.
        airflow: the release of Airflow, which no requirement can change.
        remedy: what to do about a version that they pin.
    """

    name: str
    lines: Sequence[str]
    airflow: str
    remedy: str


def check(wanted: Iterable[Requirement], constraints: Constraints, python: str) -> None:
    """Raise DependencyError if a requirement excludes a version that the constraints pin."""
    asked = [(place, parse_requirement(text)) for place, text in wanted]
    names = {normalize(requirement.name) for _, requirement in asked}
    pins = {AIRFLOW: constraints.airflow}
    for line in constraints.lines:
        pin = PIN.fullmatch(line.partition(";")[0].strip())
        if pin and normalize(pin[1]) in names and _holds(parse_requirement(line).marker, python):
            pins[normalize(pin[1])] = pin[2]
    for place, requirement in asked:
        name = normalize(requirement.name)
        version, replaces = pins.get(name), name == AIRFLOW and requirement.url
        fits = version is None or requirement.specifier.contains(version, prereleases=True)
        if fits and not replaces:
            continue
        if not _holds(requirement.marker, python):
            continue
        if name == AIRFLOW:
            raise DependencyError(
                f"{place}: {requirement} is not Airflow {version}, which is installed: "
                f"airflow.{'from' if replaces else 'version'} in images.toml selects another"
            )
        raise DependencyError(
            f"{place}: {requirement} excludes {name} {version}, which {constraints.name} pins: "
            f"{constraints.remedy}"
        )


def _holds(
    marker: Marker | None, python: str, images: Callable[[Iterable[bool]], bool] = all
) -> bool:
    """Return whether a marker is true in all (or any) images of a Python."""
    return marker is None or images(
        marker.evaluate(
            {
                "implementation_name": "cpython",
                "os_name": "posix",
                "platform_machine": machine,
                "platform_python_implementation": "CPython",
                "platform_system": "Linux",
                "python_full_version": f"{python}.{patch}",
                "python_version": python,
                "sys_platform": "linux",
            }
        )
        for machine in ("x86_64", "aarch64")
        for patch in (0, 99)
    )


def excluded(pins: Pins, wanted: Iterable[_Wanted], python: str) -> list[tuple[str, _Wanted]]:
    """Return the pins that requirements exclude in an image of a Python, each with the first.

    Args:
        pins: the pins of constraints.
        wanted: requirements, each a place and a text.
        python: the Python of the images.

    Returns:
        pins like `name==1.2.3` in the order of their names.
    """
    found: dict[str, _Wanted] = {}
    for item in wanted:
        name = NAME.match(item[1])
        key = normalize(name[0]) if name else ""
        if key not in pins or key in found:
            continue
        requirement = parse_requirement(item[1])
        fits = requirement.specifier.contains(pins[key], prereleases=True)
        if not fits and _holds(requirement.marker, python, any):
            found[key] = item
    return [(f"{name}=={pins[name]}", item) for name, item in sorted(found.items())]


def by_name(wanted: Iterable[_Wanted], python: str) -> dict[str, _Wanted]:
    """Return the first requirement of each package in an image of a Python."""
    found: dict[str, _Wanted] = {}
    for item in wanted:
        requirement = parse_requirement(item[1])
        if _holds(requirement.marker, python, any):
            found.setdefault(normalize(requirement.name), item)
    return found


def unpinned(requirements: Iterable[str], lines: Iterable[str], python: str) -> list[str]:
    """Return the requirements whose version neither they nor lines of constraints determine.

    Those with a marker that excludes all images of a Python are not installed, and left out.
    """
    names = {normalize(name[0]) for line in lines if (name := NAME.match(line))}
    return [
        text
        for text in requirements
        if (name := NAME.match(text))
        and normalize(name[0]) not in names
        and not _EXACT.search(text.partition(";")[0])
        and (";" not in text or _holds(parse_requirement(text).marker, python, any))
    ]
