"""Parsers of single values from images.toml, environment variables and options.

A parser takes the value and the place that it comes from, and returns the typed value or raises
UsageError. Lists are TOML arrays or comma-separated text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from packaging.version import InvalidVersion, Version

from build_tasks.errors import UsageError
from build_tasks.inputs import dockerignore
from build_tasks.model import cache_backends
from build_tasks.model.build import OWN_SECRETS, Secret
from build_tasks.model.cache_backends import Backend
from build_tasks.model.matrix import parse_python
from build_tasks.text.formatting import listed

if TYPE_CHECKING:
    from packaging.requirements import Requirement

#: The most names that an error message lists.
FEW = 12
#: The Debian packages of the database clients that an image can have.
CLIENTS: Mapping[str, tuple[str, ...]] = {
    "postgres": ("postgresql-client",),
    "mysql": ("default-mysql-client",),
    "mssql": ("freetds-bin", "tdsodbc", "unixodbc"),
}

# The grammars of the OCI distribution specification (a name's path, a tag), RFC 1123 (a host),
# Debian policy 5.6.1 (a package), PEP 685 (an extra). `re` compiles them when they are needed.
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-f:]+\](?::[0-9]+)?"
#: The scheme and the host of an address; a login in it is refused elsewhere, in other words.
_ORIGIN = (
    r"https?://(?:[^\s/,@]*@)*(?:\[[0-9A-Fa-f:.]+\]|[^\s/,@:?#\[\]]+)(?::[0-9]{1,5})?(?=[/?#]|$)"
)
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
# Not with a hyphen at the end, which makes apt-get remove a package.
_APT = r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](?:=[A-Za-z0-9.+:~-]+)?"
_EXTRA = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
#: An option of pip that names a file.
_FILE_OPTION = (
    r"(?:-(?P<short>[rc])\s*|--(?P<long>requirement|constraint)(?:\s+|=))(?P<file>[^\s=].*)"
)
#: Requirements that need no parser: a name, with at most one bound and one Python marker.
_PLAIN = (
    rf"{_EXTRA}(?:(?:[<>=!~]=|[<>])[0-9][0-9A-Za-z.]*)?"
    r"""(?:; python_version (?:[<>=!]=|[<>]) (?P<quote>["'])3\.[0-9]+(?P=quote))?"""
)
# Folders of the image that are not a user's: with all that is in them, or themselves alone.
_SYSTEM_FOLDERS = (
    "/bin|/boot|/dev|/etc|/lib(?:32|64|x32)?|/proc|/root|/run|/sbin|/sys|/tmp|/opt/venv|"
    "/clean-logs|/entrypoint|/var/run|/var/(?:cache|lib)/(?:apt|dpkg)|"
    "/usr/(?:bin|games|include|lib(?:32|64|exec|x32)?|sbin|share|src)|"
    "/usr/local/(?:bin|etc|games|include|lib|man|sbin|share|src|uv)"
)
_SHARED_FOLDERS = "/home|/media|/mnt|/opt|/srv|/usr|/usr/local|/var|/var/(?:cache|lib|log|tmp)"
#: The largest that Kubernetes takes (runAsUser of a pod's security context).
MAXIMUM_UID = 2**31 - 1
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

T = TypeVar("T")
S = TypeVar("S", bound=str)


@dataclass(eq=False)
class Choice(Generic[S]):
    """A parser of one of a few values, with their noun for the error."""

    noun: str
    values: tuple[S, ...]

    def __call__(self, value: object, place: str) -> S:
        """Return the valid value that equals this one."""
        name = text(value, place)
        if name not in self.values:
            raise unknown(f"{place}: unknown {self.noun}", name, self.values)
        return self.values[self.values.index(name)]


@dataclass(eq=False)
class Items(Generic[T]):
    """A parser of a list of items, which may have to be distinct."""

    item: Callable[[str, str], T]
    distinct: bool = True

    def __call__(self, value: object, place: str) -> tuple[T, ...]:
        """Return the items in their order."""
        items = tuple(self.item(item, place) for item in _split(value, place))
        repeated = [item for item in items if items.count(item) > 1] if self.distinct else []
        if repeated:
            raise UsageError(f"{place}: {repeated[0]} occurs twice")
        return items


@dataclass(eq=False)
class Matching:
    """A parser of text that matches a regular expression, with a noun for the error."""

    pattern: str
    noun: str

    def __call__(self, value: object, place: str) -> str:
        """Return the text."""
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value):
            raise expected(self.noun, value, place)
        return value


@dataclass(eq=False)
class Table(Generic[T]):
    """A parser of a table of values by name, which text has as `NAME=VALUE,...`."""

    name: Callable[[str, str], str]
    item: Callable[[Any, str], T]
    example: str

    def __call__(self, value: object, place: str) -> Mapping[str, T]:
        """Return the values in their order."""
        if not isinstance(value, Mapping | list | str):
            raise expected(f"a table like {self.example}", value, place)
        if not isinstance(value, Mapping):
            items = _split(value, place)
            for item in items:
                if "=" not in item:
                    raise expected("NAME=VALUE", item, place)
            value = dict(item.split("=", 1) for item in items)
        return MappingProxyType(
            {
                self.name(str(key), place): self.item(item, f"{place}: {key}")
                for key, item in value.items()
            }
        )


text = Matching(r"[\s\S]*", "a string")


def boolean(value: object, place: str) -> bool:
    """Return a boolean, which a variable gives as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    raise expected("true or false", value, place)


def megabytes(value: object, place: str) -> int:
    """Return a size in MB; 0 means no limit."""
    if not re.fullmatch("[0-9]+", str(value)):
        raise expected("a number of megabytes like 900", value, place)
    return int(str(value))


def uid(value: object, place: str) -> int:
    """Return the id of a user; those below 100 are the base image's (Debian policy 9.2.2)."""
    if not re.fullmatch("[1-9][0-9]{2,9}", str(value)) or int(str(value)) > MAXIMUM_UID:
        raise expected(f"the id of a user from 100 to {MAXIMUM_UID}", value, place)
    return int(str(value))


def disk_space(value: object, place: str) -> int:
    """Return a number of bytes from text like `20GB` (powers of 1000) or `20GiB`."""
    pattern = r"([0-9]{1,12}(?:\.[0-9]{1,3})?) ?([kKMGT])(i?)B"
    match = re.fullmatch(pattern, value) if isinstance(value, str) else None
    if not match or not float(match[1]):
        raise expected("a size like 20GB or 500MB", value, place)
    base = 1024 if match[3] else 1000
    return round(float(match[1]) * float(base ** " KMGT".index(match[2].upper())))


def seconds(value: object, place: str) -> int:
    """Return a number of seconds."""
    if not re.fullmatch("[1-9][0-9]{0,5}", str(value)):
        raise expected("a number of seconds like 300", value, place)
    return int(str(value))


_HOST_NOUN = "a host with an optional port, like ghcr.io"
registry_host = Matching(_HOST, _HOST_NOUN)
registry = Matching(f"(?:{_HOST})?", _HOST_NOUN)  # empty: the default
repository = Matching(f"{_COMPONENT}(?:/{_COMPONENT})*", "a lower-case path like apache/airflow")
image_template = Matching(r"(?:[^\s{}]|\{python\})+", "an image like python:{python}-slim-bookworm")
tag = Matching(
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}",
    "a tag (at most 128 letters, digits, '_', '.', '-')",
)
folder = Matching(
    rf"(?!(?:{_SYSTEM_FOLDERS})(?:/|$))(?!(?:{_SHARED_FOLDERS})$)(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)+",
    "a folder that nothing else uses, like /opt/airflow",
)
proxy = Matching(rf"(?:{_ORIGIN}/?)?", "an address like http://proxy.example.com:3128")
apt_mirror = Matching(
    rf"(?:{_ORIGIN}\S*|none)?", "a URL like https://mirror.example.com/debian, or none"
)
ssh_agent = Matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*(?:=.+)?", "default, or ID=SOCKET_OR_KEY")
builder_name = Matching(
    r"[A-Za-z0-9][A-Za-z0-9_.-]*", "a name of letters, digits, '_', '.' and '-'"
)


def pattern(value: str, place: str) -> str:
    """Return a pattern in the syntax of .dockerignore."""
    try:
        dockerignore.parse((value,))
    except ValueError as error:
        raise UsageError(
            f"{place}: expected a pattern like 'sources/**', got {value!r}: {error}"
        ) from None
    return value


def cache_sources(value: object, place: str) -> tuple[Backend, ...]:
    """Return caches to read; in text they are separated by spaces, as each contains commas."""
    sources = value.split() if isinstance(value, str) else _split(value, place)
    return tuple(cache_backends.parse(source, place, write=False) for source in sources)


def cache_target(value: object, place: str) -> Backend | None:
    """Return the cache to write, None for empty text."""
    return cache_backends.parse(text(value, place), place, write=True) if value != "" else None


def pythons(value: object, place: str) -> tuple[str, ...]:
    """Return at least one Python version."""
    versions = Items(parse_python)(value, place)
    if not versions:
        raise expected("at least one Python version, like 3.11", value, place)
    return versions


def version(value: object, place: str) -> str:
    """Return a normalized version (PEP 440)."""
    try:
        return str(Version(text(value, place)))
    except InvalidVersion:
        raise expected("a version like 3.3.2", value, place) from None


versions = Table(parse_python, version, '{ "3.9" = "3.0.6" }')
_VARIABLE = "[A-Za-z_][A-Za-z0-9_]*"
variables = Table(Matching(_VARIABLE, "the name of a variable"), text, '{ ACCEPT_EULA = "Y" }')
arguments = Table(Matching(_VARIABLE, "the name of a build argument"), text, '{ NAME = "value" }')
_PLACE = "env:NAME or file:PATH, the place of the secret and not the secret itself"
secret_places = Table(
    Matching("[A-Za-z0-9][A-Za-z0-9_.-]*", "the id of a secret"),
    Matching(rf"env:{_VARIABLE}|file:.+", _PLACE),
    '{ pypi = "env:NAME" }',
)


def secrets(value: object, place: str) -> tuple[Secret, ...]:
    """Return secrets from a table of their places by id; errors do not show its values."""
    try:
        places = secret_places(value, place)
    except UsageError:
        raise UsageError(
            f"{place}: expected a table like {secret_places.example}: {_PLACE}"
        ) from None
    secrets = []
    for name, source in places.items():
        if name in OWN_SECRETS:
            raise UsageError(
                f"{place}: the id {name} is set by {OWN_SECRETS[name]}: choose another"
            )
        kind, _, rest = source.partition(":")
        secrets.append(Secret(name, Path(rest)) if kind == "file" else Secret(name, variable=rest))
    return tuple(secrets)


def requirement(value: str, place: str) -> str:
    """Return a normalized requirement (PEP 508)."""
    if re.fullmatch(_PLAIN, value):  # the parser would cost a tenth of a no-op build
        return value
    try:
        return str(parse_requirement(value))
    except ValueError:
        raise expected("a requirement like pytest or pytest>=8", value, place) from None


_URL = rf"{_ORIGIN}[^\s,]*"
_URL_NOUN = "an address like https://pypi.example.com/simple/"
default_index = Matching(rf"(?:{_URL})?", _URL_NOUN)  # empty: PyPI
index = Matching(rf"(?:{_EXTRA}=)?{_URL}", f"{_URL_NOUN}, with or without NAME=")
links = Matching(rf"{_URL}|(?![a-z]+://)\S(?:.*\S)?", f"a folder, or {_URL_NOUN}")
distribution = Matching(
    r"[A-Za-z0-9](?:[\w./-]*[A-Za-z0-9])?", "a distribution like apache-airflow-core, or its folder"
)
dependency_group = Matching(
    rf"(?:{_EXTRA}:)?{_EXTRA}", "a dependency group like dev, or apache-airflow-core:dev"
)
no_binary = Matching(rf"{_EXTRA}|:all:", "the name of a package, or :all:")


def without_login(url: str) -> str:
    """Return an address without the user and the password in it."""
    return re.sub(r"(?<=://)[^/\s]*@", "", url)


def parse_requirement(text: str) -> Requirement:
    """Return a requirement (PEP 508), or raise ValueError."""
    from packaging import requirements  # noqa: PLC0415 - start-up time

    return requirements.Requirement(text)


def file_option(text: str) -> str:
    """Return an option of pip that names a file as `-r FILE` or `-c FILE`; empty if it is none."""
    match = re.fullmatch(_FILE_OPTION, text)
    return f"-{match['short'] or match['long'][0]} {match['file']}" if match else ""


def dependency(value: str, place: str) -> str:
    """Return a normalized requirement, or an option that names a file of requirements."""
    if value.endswith(".txt") and not value.startswith("-"):  # also a valid name of a package
        raise expected("a requirement like pytest, or `-r FILE`", value, place)
    return file_option(value) or requirement(value, place)


extras = Items(Matching(_EXTRA, "the name of an extra"), distinct=False)
apt_package = Matching(_APT, "the name of a Debian package")
apt_packages = Items(
    Matching(rf"(?!.*\.txt$)(?:{_APT})|-r\s+\S.*", f"{apt_package.noun}, or `-r FILE`"),
    distinct=False,
)
requirements = Items(requirement, distinct=False)
dependencies = Items(dependency, distinct=False)
clients = Items(Choice("database client", tuple(CLIENTS)))
#: The kinds of constraint files that Airflow publishes.
constraints_mode = Choice(
    "constraints mode",
    ("constraints", "constraints-no-providers", "constraints-source-providers"),
)


def expected(noun: str, value: object, place: str) -> UsageError:
    """Return the error for a value that is not what its place needs."""
    got = "nothing" if value is None else repr(value)
    return UsageError(f"{place}: expected {noun}, got {got}")


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that is like another one, if one is."""
    return next(iter(difflib.get_close_matches(name[:80], [*names], n=1, cutoff=0.7)), None)


def unknown(
    subject: str, name: str, valid: Iterable[str], listing: str = "", *, prefix: str = ""
) -> UsageError:
    """Return the error for an unknown name, with the nearest valid one or the valid ones.

    The subject says the place and the noun: `image.build: unknown option`. The listing is the
    command that lists the names where they are many. The prefix, which all names have, does not
    make one of them nearer.
    """
    names = [*valid]
    if near := nearest(name, names):
        hint = f"did you mean {prefix}{near}?"
    elif not names:
        hint = "there are none"
    elif len(names) <= FEW or not listing:
        hint = f"choose {listed(names)}"
    else:
        hint = f"{listing} lists the valid ones"
    return UsageError(f"{subject} {prefix + name[:80]!r}: {hint}")


def _split(value: object, place: str) -> list[str]:
    if isinstance(value, str):
        # Not at a comma inside [extras], nor before `<3` in `pandas>=2,<3`.
        items = re.split(r",(?![^\[]*\])(?!\s*[<>=!~])", value)
        return [item.strip() for item in items if item.strip()]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise expected('a list of strings like ["a", "b"]', value, place)
