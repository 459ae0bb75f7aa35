"""Known secrets: the values of environment variables and of credentials files."""

from __future__ import annotations

import base64
import binascii
import contextlib
import itertools
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

from build_tasks.text.redaction.names import NAME, is_secret_name, words

if TYPE_CHECKING:
    from build_tasks.text.redaction import Hide

#: Characters of a value; shorter ones would be found in other words.
_SHORTEST, _LONGEST = 6, 8192
#: Characters from which on any value counts; a shorter one may be `airflow` or `123456`.
_ANY = 16
#: Characters of a part of a value, at the end or the beginning of a line.
_PIECE = 8
#: Bytes of a file that are read, and values that are kept.
_FILE, _MOST = 64 * 1024, 500
#: Credentials files below the home folder, and variables that name others.
_FILES = (
    *(".docker/config.json", ".netrc", "_netrc", ".pgpass", ".git-credentials", ".pypirc"),
    *(".aws/credentials", ".my.cnf", ".npmrc", ".pip/pip.conf", ".config/pip/pip.conf"),
    *(".config/uv/uv.toml", ".config/gh/hosts.yml", ".config/containers/auth.json"),
)
_VARIABLES = (
    *("NETRC", "PGPASSFILE", "PIP_CONFIG_FILE", "UV_CONFIG_FILE", "REGISTRY_AUTH_FILE"),
    *("AWS_SHARED_CREDENTIALS_FILE", "GOOGLE_APPLICATION_CREDENTIALS"),
)
_SIMPLE = re.compile(r"[a-z]+|[A-Z]?[a-z-]+|[\d.]+")
_URL = re.compile(r"\w://[^\s/@:'\"]*:(?P<value>[^\s/'\"]+)@")
_NETRC = re.compile(r"\bpassword\s{1,8}(\S+)")
_PEM = re.compile(r"[A-Za-z0-9+/=]{16,}")
#: What BuildKit writes before the line of a step.
_PREFIX = re.compile(r"(?:#\d{1,6} )?(?:\d{1,9}\.\d{1,9} )?\s{0,40}")


class KnownValues:
    """Secret values, found in text as they are and in the encodings that programs use."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._needles: tuple[str, ...] = ()
        self._all = ""
        self._add(values)

    def add(self, value: str) -> None:
        """Hide one more value."""
        self._add([value])

    def hide(self, text: str, replace: Hide) -> str:
        """Return lines without the values, and without parts of them at a line break."""
        if not self._needles:
            return text
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, replace(needle))
        return "\n".join(self._without_parts(line, replace) for line in text.split("\n"))

    def _add(self, values: Iterable[str]) -> None:
        needles = {needle for value in values if _is_usable(value) for needle in _encodings(value)}
        self._needles = tuple(sorted({*self._needles, *needles}, key=lambda n: (-len(n), n)))
        self._all = "\n".join(self._needles)

    def _without_parts(self, line: str, replace: Hide) -> str:
        """Hide a value's first part at the end of a line, and its last at the beginning."""
        end = len(line.rstrip())
        last = max(line.rfind(" ", 0, end), line.rfind("\t", 0, end)) + 1
        line = self._without_part(line, last, end, replace)
        prefix = _PREFIX.match(line)
        first = prefix.end() if prefix else 0
        if first >= last:
            return line
        stop = line.find(" ", first)
        return self._without_part(line, first, stop if stop >= 0 else len(line), replace)

    def _without_part(self, line: str, begin: int, end: int, replace: Hide) -> str:
        end = begin + len(line[begin:end].rstrip("\"'\\"))
        for mark in "\"'=:":
            at = line.rfind(mark, begin, end - 1 if mark == "=" else end)
            begin = max(begin, at + 1) if at < end - _PIECE else begin
        part = line[begin:end]
        if len(part) < _PIECE or part not in self._all:
            return line
        if any(
            needle.startswith(part)
            or needle.endswith(part)
            or (len(part) >= _ANY and part in needle)
            for needle in self._needles
        ):
            return f"{line[:begin]}{replace(part)}{line[end:]}"
        return line


def collect(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> KnownValues:
    """Return the values of the environment and of the credentials files in the home folder."""
    return KnownValues(itertools.islice(_values(environment, home), _MOST))


def _values(environment: Mapping[str, str], home: Path | None) -> Iterator[str]:
    for name, text in environment.items():
        yield from _in_urls(text)
        names_file = words(name)[-1:] in (("file",), ("path",))
        if (names_file and is_secret_name(name.rpartition("_")[0])) or (
            is_secret_name(name) and text.startswith("/")
        ):
            yield from _in_file(Path(text))
        if is_secret_name(name) or words(name)[-2:] == ("auth", "config"):
            yield from _in_text(text) if text[:1] in "{-" else (text,)
    folder = home or Path(os.path.expanduser("~"))  # noqa: PTH111 - it raises without a home
    files = [folder / file for file in _FILES]
    files += [Path(environment[name]) for name in _VARIABLES if environment.get(name)]
    if environment.get("DOCKER_CONFIG"):
        files.append(Path(environment["DOCKER_CONFIG"]) / "config.json")
    for file in files:
        yield from _in_file(file)


def _in_file(file: Path) -> Iterator[str]:
    try:
        if not file.is_file():
            return
        with file.open("rb") as opened:
            text = opened.read(_FILE).decode(errors="replace").strip()
    except (OSError, ValueError):  # it is not readable, or no path
        return
    if file.name.endswith(".pgpass"):
        for line in text.splitlines():  # host:port:database:user:password, with escaped colons
            fields = re.split(r"(?<!\\):", line, maxsplit=4)
            yield from (re.sub(r"\\(.)", r"\1", password) for password in fields[4:])
        return
    yield from _in_text(text)


def _in_urls(text: str) -> Iterator[str]:
    for url in _URL.finditer(text):
        yield from (url["value"], unquote(url["value"]))


def _in_text(text: str) -> Iterator[str]:
    """Yield the secrets in a file of credentials: JSON, keys, netrc, INI, YAML, or one value."""
    if text.startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            yield from _in_json(json.loads(text))
            return
    lines = text.splitlines()
    if len(lines) == 1 and not re.search(r"\s|://", text) and "=" not in text.rstrip("="):
        yield text
    yield from _in_urls(text)
    yield from _NETRC.findall(text)
    pem = False
    for line in lines:
        pem = (pem or line.startswith("-----BEGIN")) and not line.startswith("-----END")
        if pem and _PEM.fullmatch(line.strip()):
            yield line.strip()
        for name in re.finditer(NAME, line):
            if is_secret_name(name["name"]):
                yield line[name.end() :].strip().strip("\"'")


def _in_json(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _in_json(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _in_json(item, name)
    elif isinstance(value, str) and value:
        if name == "auth":
            yield value
            with contextlib.suppress(binascii.Error, ValueError):
                yield base64.b64decode(value).decode().partition(":")[2]
        elif is_secret_name(name):
            yield from _in_text(value) if "\n" in value else (value,)


def _is_usable(value: str) -> bool:
    """Return whether a value can be hidden everywhere without hiding ordinary words."""
    value = value.strip()
    if not _SHORTEST <= len(value) <= _LONGEST or value.startswith(("/", "$")):
        return False
    return len(value) >= _ANY or not _SIMPLE.fullmatch(value)


def _encodings(value: str) -> Iterator[str]:
    """Yield a value as shells, URLs, JSON, HTML and base64 write it."""
    value = value.strip()
    if "\n" in value:
        yield from (line for line in map(str.strip, value.splitlines()) if len(line) >= _ANY)
    yield value
    yield quote(value, safe="")
    yield quote(value)
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield shlex.quote(value).strip("'")
    data = value.encode(errors="surrogateescape")
    yield base64.b64encode(data).decode()
    for before in range(3):  # the number of bytes before it shifts its bits
        text = base64.b64encode(b"\0" * before + data).decode()
        # The characters at both ends share bits with their neighbours.
        first, last = (0, 2, 3)[before], 8 * (len(data) + before) // 6
        core = text[first:last]
        if len(core) >= _PIECE:
            yield core
            yield core.translate({43: "-", 47: "_"})
