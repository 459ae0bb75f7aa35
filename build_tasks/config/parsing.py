"""Check one value that a user gave, and make it the typed one that the suite works with.

Each function takes the value, as TOML or as an environment variable or option gives it, and the
place that it stands in; it returns the typed value or raises UsageError that names the place, the
value and what would be valid. Lists may be TOML's or comma-separated text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from build_tasks.errors import UsageError
from build_tasks.inputs import dockerignore
from build_tasks.model import cache_backends
from build_tasks.model.cache import CacheImports, CacheMode, Compression
from build_tasks.model.cache_backends import Backend
from build_tasks.model.matrix import Platform, parse_python
from build_tasks.text.formatting import listed

ENGINES = ("auto", "docker", "embedded")
#: The files of constraints that Airflow has: all pinned, providers left free, and providers left
#: out because they come from sources.
CONSTRAINTS_MODES = ("constraints", "constraints-no-providers", "constraints-source-providers")
#: Debian's packages of the database clients that an image can have.
CLIENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "postgres": ("postgresql-client",),
        "mysql": ("default-mysql-client",),
        "mssql": ("freetds-bin", "tdsodbc", "unixodbc"),
    }
)

# The grammars of the OCI distribution specification (a name's path), RFC 1123 (a host),
# Debian policy 5.6.1 (a package), PEP 685 (an extra).
_REGISTRY = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-f:]+\](?::[0-9]+)?"
)
_REPOSITORY = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
)
_APT = re.compile(r"[a-z0-9][a-z0-9+.-]+(?:=[A-Za-z0-9.+:~-]+)?")
#: Of an extra, too.
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
#: A requirement that is one at a glance: a name alone, or with one bound and a Python's marker.
_PLAIN = re.compile(
    rf"{_DISTRIBUTION.pattern}(?:(?:[<>=!~]=|[<>])[0-9][0-9A-Za-z.]*)?"
    r"""(?:; python_version (?:[<>=!]=|[<>]) (?P<quote>["'])3\.[0-9]+(?P=quote))?"""
)
#: A version that is normal (PEP 440) at a glance.
_RELEASE = re.compile(r"(?:0|[1-9][0-9]*)(?:[.](?:0|[1-9][0-9]*))*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SPACE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([kKMGT])B")
# A comma that begins a new item: not one inside [extras], nor before `<3` in `pandas>=2,<3`.
_COMMA = re.compile(r",(?![^\[]*\])(?!\s*[<>=!~])")

_T = TypeVar("_T")


def text(value: object, place: str) -> str:
    """Return text."""
    if not isinstance(value, str):
        raise UsageError(f"{place}: must be text in quotes, not {value!r}")
    return value


def name(value: object, place: str) -> str:
    """Return a builder's name."""
    return _match(_NAME, value, place, "a name of letters, digits, '_', '.' and '-'")


def registry(value: object, place: str) -> str:
    """Return a registry's host and port, or empty text for the engine's default."""
    if value == "":
        return ""
    return _match(_REGISTRY, value, place, "a host with an optional port, like ghcr.io")


def repository(value: object, place: str) -> str:
    """Return a path in a registry; registries take lower case only."""
    return _match(_REPOSITORY, value, place, "a lower-case path like apache/airflow")


def engine(value: object, place: str) -> str:
    """Return one of ENGINES."""
    if value not in ENGINES:
        raise UsageError(f"{place}: unknown engine {value!r}: choose {listed(ENGINES)}")
    return str(value)


def space(value: object, place: str) -> int:
    """Return bytes of disk space, from text like `20GB` (powers of 1000, as docker counts)."""
    found = _SPACE.fullmatch(value) if isinstance(value, str) else None
    if not found or not float(found[1]):
        raise UsageError(f"{place}: must be a size like 20GB or 500MB, not {value!r}")
    return round(float(found[1]) * int(1000 ** " KMGT".index(found[2].upper())))


def registries(value: object, place: str) -> tuple[str, ...]:
    """Return registries' hosts with their ports, each once."""
    valid = "a host with an optional port, like 127.0.0.1:5000"
    found = tuple(_match(_REGISTRY, item, place, valid) for item in texts(value, place))
    return _unique(found, place)


def texts(value: object, place: str) -> tuple[str, ...]:
    """Return a list of texts, each once."""
    return _unique(tuple(_list(value, place)), place)


def patterns(value: object, place: str) -> tuple[str, ...]:
    """Return patterns of paths, of the kind that .dockerignore has, each once."""
    found = texts(value, place)
    for item in found:
        try:
            dockerignore.parse((item,))
        except ValueError as error:
            raise UsageError(
                f"{place}: {item!r} is no pattern like 'sources/**': {error}"
            ) from None
    return found


def boolean(value: object, place: str) -> bool:
    """Return true or false."""
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise UsageError(f"{place}: must be true or false, not {value!r}")


def megabytes(value: object, place: str) -> int:
    """Return a size in millions of bytes; 0 means that it does not matter."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(f"{place}: must be a number of megabytes like 900, not {value!r}")
    return value


def clients(value: object, place: str) -> tuple[str, ...]:
    """Return names of CLIENTS, each once."""
    for item in _list(value, place):
        if item not in CLIENTS:
            raise UsageError(f"{place}: unknown database client {item!r}: choose {listed(CLIENTS)}")
    return _unique(tuple(_list(value, place)), place)


def constraints_mode(value: object, place: str) -> str:
    """Return one of CONSTRAINTS_MODES."""
    if value not in CONSTRAINTS_MODES:
        raise UsageError(
            f"{place}: unknown constraints mode {value!r}: choose {listed(CONSTRAINTS_MODES)}"
        )
    return str(value)


def cache_mode(value: object, place: str) -> CacheMode:
    """Return where a build may take finished steps from."""
    try:
        return CacheMode(text(value, place))
    except ValueError:
        raise UsageError(
            f"{place}: unknown cache mode {value!r}: choose {listed(CacheMode)}"
        ) from None


def cache_imports(value: object, place: str) -> CacheImports:
    """Return whose cache references a build may read."""
    try:
        return CacheImports(text(value, place))
    except ValueError:
        raise UsageError(f"{place}: unknown {value!r}: choose {listed(CacheImports)}") from None


def compression(value: object, place: str) -> Compression:
    """Return how layers are compressed."""
    try:
        return Compression(text(value, place))
    except ValueError:
        raise UsageError(
            f"{place}: unknown compression {value!r}: choose {listed(Compression)}"
        ) from None


def cache_sources(value: object, place: str) -> tuple[Backend, ...]:
    """Return places to read caches from; in one text they stand apart by spaces."""
    given = value.split() if isinstance(value, str) else _list(value, place)
    return tuple(cache_backends.parse(item, place, write=False) for item in given)


def cache_target(value: object, place: str) -> Backend | None:
    """Return the place to write a cache to, or none for empty text."""
    return cache_backends.parse(text(value, place), place, write=True) if value != "" else None


def pythons(value: object, place: str) -> tuple[str, ...]:
    """Return Python versions, at least one, each once."""
    versions = tuple(parse_python(item, place) for item in _list(value, place))
    if not versions:
        raise UsageError(f"{place}: name at least one Python version, like 3.11")
    return _unique(versions, place)


def platforms(value: object, place: str) -> tuple[Platform, ...]:
    """Return platforms, each once; none means the engine's own."""
    return _unique(tuple(Platform.parse(item, place) for item in _list(value, place)), place)


def template(value: object, place: str) -> str:
    """Return an image's reference in which `{python}` stands for the version."""
    reference = text(value, place)
    plain = reference.replace("{python}", "3.11")
    if not plain or re.search(r"[\s{}]", plain):
        raise UsageError(
            f"{place}: {reference!r} is no image: only {{python}} may stand in braces, "
            "like python:{python}-slim-bookworm"
        )
    return reference


def version(value: object, place: str) -> str:
    """Return a version of a Python distribution."""
    if isinstance(value, str) and _RELEASE.fullmatch(value):
        return value
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - start-up time

    try:
        return str(Version(text(value, place)))
    except InvalidVersion:
        raise UsageError(f"{place}: {value!r} is no version, like 3.3.2") from None


def versions(value: object, place: str) -> Mapping[str, str]:
    """Return versions by Python: a table, or text like `3.9=3.0.6,3.10=3.1.0`."""
    if isinstance(value, str):
        pairs = [item.partition("=")[::2] for item in _list(value, place)]
        value = dict(pairs)
    if not isinstance(value, Mapping):
        raise UsageError(f'{place}: must be a table like {{ "3.9" = "3.0.6" }}, not {value!r}')
    return MappingProxyType(
        {parse_python(str(key), place): version(item, place) for key, item in value.items()}
    )


def extras(value: object, place: str) -> tuple[str, ...]:
    """Return names of extras."""
    return tuple(
        _match(_DISTRIBUTION, item, place, "the name of an extra") for item in _list(value, place)
    )


def apt_packages(value: object, place: str) -> tuple[str, ...]:
    """Return names of Debian packages, each with an optional `=version`."""
    return tuple(
        _match(_APT, item, place, "the name of a Debian package") for item in _list(value, place)
    )


def requirements(value: object, place: str) -> tuple[str, ...]:
    """Return requirements on Python distributions (PEP 508)."""
    return tuple(
        # The parser costs a tenth of a build that has nothing to do.
        item if _PLAIN.fullmatch(item) else _requirement(item, place)
        for item in _list(value, place)
    )


def _requirement(item: str, place: str) -> str:
    from packaging.requirements import (  # noqa: PLC0415 - start-up time
        InvalidRequirement,
        Requirement,
    )

    try:
        return str(Requirement(item))
    except InvalidRequirement:
        raise UsageError(f"{place}: {item!r} is no requirement, like pytest or pytest>=8") from None


def _list(value: object, place: str) -> list[str]:
    if isinstance(value, str):
        return [item.strip() for item in _COMMA.split(value) if item.strip()]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise UsageError(f'{place}: must be a list of texts like ["a", "b"], not {value!r}')


def _match(pattern: re.Pattern[str], value: object, place: str, valid: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise UsageError(f"{place}: {value!r} is not {valid}")
    return value


def _unique(items: tuple[_T, ...], place: str) -> tuple[_T, ...]:
    twice = [item for item in items if items.count(item) > 1]
    if twice:
        raise UsageError(f"{place}: {twice[0]} stands there twice")
    return items
