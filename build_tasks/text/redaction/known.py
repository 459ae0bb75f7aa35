"""The values that are known to be secret: of environment variables, and of credentials files."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

from build_tasks.text.redaction.names import is_secret_name, words

if TYPE_CHECKING:
    from build_tasks.text.redaction import Hide

#: Characters of a value that can be hidden wherever it stands; shorter ones are part of words.
_SHORTEST, _LONGEST = 6, 8192
#: From this length on any value counts; before, `airflow` or `123456` would be hidden everywhere.
_ANY = 16
#: Characters of a piece of a value, at the end or the beginning of a line.
_PIECE = 8
#: Bytes of a file that are read, values that are kept.
_FILE, _MOST = 64 * 1024, 500
#: Files below the home folder that hold credentials, and the variables that name others.
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
_LEAD = re.compile(r"(?:#\d{1,6} )?(?:\d{1,9}\.\d{1,9} )?\s{0,40}")


class KnownValues:
    """Secret values, found in text as they are and in the encodings that programs write.

    Args:
        values: the values.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._needles: tuple[str, ...] = ()
        self._all = ""
        self._add(values)

    def add(self, value: str) -> None:
        """Hide one more value."""
        self._add([value])

    def hide(self, text: str, hide: Hide) -> str:
        """Return a text without the values.

        Args:
            text: one line, or several.
            hide: returns what is shown in place of a secret.
        """
        if not self._needles:
            return text
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, hide(needle))
        if "\n" in text:
            return "\n".join(self._without_pieces(line, hide) for line in text.split("\n"))
        return self._without_pieces(text, hide)

    def _add(self, values: Iterable[str]) -> None:
        found = {needle for value in values if _worth(value) for needle in _encodings(value)}
        merged = sorted({*self._needles, *found}, key=lambda one: (-len(one), one))
        self._needles = tuple(merged)
        self._all = "\n".join(merged)

    def _without_pieces(self, line: str, hide: Hide) -> str:
        """Hide a value's first part at the end of a line, and its last at the beginning."""
        end = len(line.rstrip())
        last = max(line.rfind(" ", 0, end), line.rfind("\t", 0, end)) + 1
        line = self._without_piece(line, last, end, hide)
        lead = _LEAD.match(line)
        first = lead.end() if lead else 0
        if first >= last:
            return line
        stop = line.find(" ", first)
        return self._without_piece(line, first, stop if stop >= 0 else len(line), hide)

    def _without_piece(self, line: str, begin: int, end: int, hide: Hide) -> str:
        end = begin + len(line[begin:end].rstrip("\"'\\"))
        for mark in "\"'=:":
            at = line.rfind(mark, begin, end - 1 if mark == "=" else end)
            begin = max(begin, at + 1) if at < end - _PIECE else begin
        piece = line[begin:end]
        if len(piece) < _PIECE or piece not in self._all:
            return line
        if any(
            one.startswith(piece) or one.endswith(piece) or (len(piece) >= _ANY and piece in one)
            for one in self._needles
        ):
            return f"{line[:begin]}{hide(piece)}{line[end:]}"
        return line


def collect(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> KnownValues:
    """Return the values that the environment and the user's credentials files hold.

    Args:
        environment: the variables.
        home: the user's home folder.
    """
    return KnownValues(list(values(environment, home))[:_MOST])


def values(environment: Mapping[str, str], home: Path | None = None) -> Iterator[str]:
    """Yield the secret values, and things that turn out to be too short to be hidden."""
    for name, text in environment.items():
        yield from (password for url in _URL.finditer(text) for password in _plain(url["value"]))
        about = words(name)[-1:] in (("file",), ("path",)) and is_secret_name(
            name.rpartition("_")[0]
        )
        if about or (is_secret_name(name) and text.startswith("/")):
            yield from _in_file(Path(text))
        if is_secret_name(name) or words(name)[-2:] == ("auth", "config"):
            yield from _in_text(text) if text[:1] in "{-" else (text,)
    folder = home or Path(os.path.expanduser("~"))  # noqa: PTH111 - it raises without a home
    for file in _FILES:
        yield from _in_file(folder / file)
    for name in _VARIABLES:
        if environment.get(name):
            yield from _in_file(Path(environment[name]))
    if environment.get("DOCKER_CONFIG"):
        yield from _in_file(Path(environment["DOCKER_CONFIG"]) / "config.json")


def _in_file(file: Path) -> Iterator[str]:
    try:
        if not file.is_file():
            return
        with file.open("rb") as opened:
            text = opened.read(_FILE).decode(errors="replace").strip()
    except (OSError, ValueError):  # it may not be read, or is no path
        return
    if file.name == ".pgpass" or file.suffix == ".pgpass":
        yield from (re.sub(r"\\(.)", r"\1", _field(line)) for line in text.splitlines())
        return
    yield from _in_text(text)


def _field(line: str) -> str:
    """Return the fifth field of a line of .pgpass, in which a backslash escapes a colon."""
    return (re.split(r"(?<!\\):", line, maxsplit=4) + [""] * 4)[4]


def _in_text(text: str) -> Iterator[str]:
    """Yield the secrets in a file of credentials: JSON, keys, netrc, INI, YAML, or one value."""
    if text.startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            yield from _in_json(json.loads(text))
            return
    lines = text.splitlines()
    if len(lines) == 1 and not re.search(r"\s|://", text) and "=" not in text.rstrip("="):
        yield text
    yield from (password for url in _URL.finditer(text) for password in _plain(url["value"]))
    yield from (found[1] for found in _NETRC.finditer(text))
    from build_tasks.text.redaction import patterns  # noqa: PLC0415 - most runs read no such file

    pem = False
    for line in lines:
        pem = (pem or line.startswith("-----BEGIN")) and not line.startswith("-----END")
        if pem and _PEM.fullmatch(line.strip()):
            yield line.strip()
        for name in patterns.NAME.finditer(line):
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


def _plain(text: str) -> tuple[str, str]:
    return text, unquote(text)


def _worth(value: str) -> bool:
    """Return whether a value can be hidden everywhere without hiding what is none."""
    value = value.strip()
    if not _SHORTEST <= len(value) <= _LONGEST or value.startswith(("/", "$")):
        return False
    return len(value) >= _ANY or not _SIMPLE.fullmatch(value)


def _encodings(value: str) -> Iterator[str]:
    """Yield how a value is written by shells, URLs, JSON, HTML and base64."""
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
    for before in range(3):  # what stands before it moves its bits
        text = base64.b64encode(b"\0" * before + data).decode()
        # The characters at both ends have bits of what stands beside them.
        first, last = (0, 2, 3)[before], 8 * (len(data) + before) // 6
        core = text[first:last]
        if len(core) >= _PIECE:
            yield core
            yield core.translate({43: "-", 47: "_"})
