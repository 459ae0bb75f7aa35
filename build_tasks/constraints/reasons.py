"""Who wants what: reasons for versions, and for combinations that do not exist."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from build_tasks.config import parsing
from build_tasks.constraints.constraint_files import NAME, Change, Pins, normalize
from build_tasks.constraints.workspace import Wanted

#: A package in uv's message, perhaps with extras and markers, and its versions.
_TERM = rf"(?P<name>{NAME.pattern})(?:\[[^\]]*\])?(?:\{{[^}}]*\}})?(?P<versions>[<>=!~]\S*)?"
#: A sentence of uv on a requirement of a package.
_DEPENDS = re.compile(rf"(?P<who>{NAME.pattern})\S* depends? on {_TERM}")
#: The number of requirements that an error names.
_NAMED = 5


class Explained(NamedTuple):
    """A changed version.

    Args:
        change: the package and its versions.
        wanted: what requires the new version, empty if that is not known.
    """

    change: Change
    wanted: str

    def __str__(self) -> str:
        """Return a line for people."""
        return f"{self.change}: {self.wanted}" if self.wanted else str(self.change)


def wants(wanted: Wanted) -> str:
    """Return a sentence on a requirement and its place."""
    return f"{wanted.place} wants {wanted.text}"


def stated(message: str, name: str, pins: Pins) -> str:
    """Return the first requirement of a package, or for it, that a message of uv states.

    Args:
        message: the error of uv, for versions that do not fit together.
        name: the package.
        pins: these versions.

    Returns:
        a sentence like `celery 5.6 wants kombu>=5`; empty if there is none.
    """
    for sentence in _DEPENDS.finditer(message):
        who = normalize(sentence["who"])
        if name in {who, normalize(sentence["name"])}:
            versions = (sentence["versions"] or "").rstrip(",.")
            return f"{who} {pins.get(who, '')}".strip() + f" wants {sentence['name']}{versions}"
    return ""


def with_places(message: str, wanted: Iterable[Wanted], local: Collection[str]) -> str:
    """Return a message of uv with the places of the requirements that it names.

    Args:
        message: the error of uv.
        wanted: all requirements.
        local: packages that are no reason, because they come from the sources themselves.
    """
    terms = {
        (normalize(term["name"]), _versions(term["versions"] or ""))
        for term in re.finditer(_TERM, message)
    }
    named = []
    for item in wanted:
        requirement = parsing.parse_requirement(item.text)
        name, versions = normalize(requirement.name), requirement.specifier
        if versions and (name, versions) in terms and name not in local:
            named.append(wants(item))
    return f"{message} ({'; '.join(named[:_NAMED])})" if named else message


def _versions(text: str) -> SpecifierSet | None:
    """Return the versions of a term, None if it is none."""
    try:
        return SpecifierSet(text.rstrip(",."))
    except InvalidSpecifier:
        return None
