"""Known secrets: the values of environment variables and of credentials files."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from build_tasks.text.redaction.names import is_secret_name, words
from build_tasks.text.redaction.patterns import NAME, USERINFO

#: Returns the replacement of a secret.
Hide = Callable[[str], str]

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
_SIMPLE = r"[a-z]+|[A-Z]?[a-z-]+|[\d.]+"
_NETRC = r"\bpassword\s{1,8}(\S+)"
#: A text in netrc's format, which has no value that is not named.
_ONLY_NETRC = (
    r"(?:\s*+(?:#[^\n]*+|default(?!\S)|(?:machine|login|user|account|password)\s{1,8}+\S++))++\s*+"
)
_PEM = r"[A-Za-z0-9+/=]{16,}"
#: What can be a part of a value at a line break: the last word of a line, and the first after what
#: BuildKit writes before the line of a step.
_LAST = r"(?m)(?<![^\s\"'=:\\])([^\s\"'=:\\]{8,}+={0,2})(?=[\"'\\]*[ \t\r]*$)"
_FIRST = r"(?m)(?<=^)(?:#\d{1,6} )?(?:\d{1,9}\.\d{1,9} )?[ \t]{0,40}([^\s\"'\\]{8,})"


class KnownValues:
    """Secret values, found in text as they are and in the encodings that programs use."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._needles: tuple[str, ...] = ()
        self._all = ""
        self.add(*values)

    def add(self, *values: str) -> None:
        """Hide more values."""
        needles = {needle for value in values if _is_usable(value) for needle in _encodings(value)}
        self._needles = tuple(sorted({*self._needles, *needles}, key=lambda n: (-len(n), n)))
        self._all = "\0".join(("", *self._needles, ""))

    def hide(self, text: str, replace: Hide) -> str:
        """Return lines without the values, and without parts of them at a line break."""
        if not self._needles:
            return text
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, replace(needle))

        def without_part(word: re.Match[str]) -> str:
            is_part = self._has_part(word[1])
            return word[0].replace(word[1], replace(word[1])) if is_part else word[0]

        return re.sub(_FIRST, without_part, re.sub(_LAST, without_part, text))

    def _has_part(self, part: str) -> bool:
        ends = f"\0{part}" in self._all or f"{part}\0" in self._all
        return ends or (len(part) >= _ANY and part in self._all)


def collect(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> KnownValues:
    """Return the values of the environment and of the credentials files in the home folder."""
    return KnownValues(itertools.islice(_values(environment, home), _MOST))


def _values(environment: Mapping[str, str], home: Path | None) -> Iterator[str]:
    for name, text in environment.items():
        of_file = words(name)[-1:] in (("file",), ("path",)) and name.rpartition("_")[0]
        if is_secret_name(of_file or name) and (of_file or text.startswith("/")):
            yield from _in_file(Path(text))
        yield from _in_urls(text)
        yield from _in_value(name, text)
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
    if not file.name.endswith(".pgpass"):
        yield from parts(text)
        return
    for line in text.splitlines():  # host:port:database:user:password, with escaped colons
        fields = re.split(r"(?<!\\):", line, maxsplit=4)
        yield from (re.sub(r"\\(.)", r"\1", password) for password in fields[4:])


def _in_urls(text: str) -> Iterator[str]:
    for url in re.finditer(USERINFO, text):
        if url["user"]:
            yield from (url["value"], unquote(url["value"]))


def _in_value(name: str, value: str) -> Iterator[str]:
    """Yield the secrets in the value of a variable, or of a key in JSON."""
    if name == "auth":  # of a registry: base64 of user:password
        yield value
        with contextlib.suppress(ValueError):
            yield base64.b64decode(value).decode().partition(":")[2]
    elif is_secret_name(name) or words(name)[-2:] == ("auth", "config"):
        yield from parts(value) if value.startswith(("{", "-")) else (value,)


def secrets_in(text: str) -> Iterator[str]:
    """Yield a text of credentials as a whole, unless it is a netrc file, and its parts."""
    if not re.fullmatch(_ONLY_NETRC, text):
        yield text
    yield from parts(text)


def parts(text: str) -> Iterator[str]:
    """Yield the secrets in a text of credentials: JSON, keys, netrc, INI, YAML, or one value."""
    if text.startswith("{"):
        pairs: list[tuple[str, Any]] = []
        with contextlib.suppress(ValueError, RecursionError):
            json.loads(text, object_pairs_hook=pairs.extend)
            for key, value in pairs:
                for item in value if isinstance(value, list) else [value]:
                    if isinstance(item, str):
                        yield from _in_value(key, item)
            return
    lines = text.splitlines()
    if len(lines) == 1 and not re.search(r"\s|://", text) and "=" not in text.rstrip("="):
        yield text
    yield from _in_urls(text)
    yield from re.findall(_NETRC, text)
    pem = False
    for line in lines:
        pem = (pem or line.startswith("-----BEGIN")) and not line.startswith("-----END")
        if pem and re.fullmatch(_PEM, line.strip()):
            yield line.strip()
        for name in re.finditer(NAME, line):
            if is_secret_name(name["name"]):
                yield line[name.end() :].strip().strip("\"'")


def _is_usable(value: str) -> bool:
    """Return whether a value can be hidden everywhere without hiding ordinary words."""
    value = value.strip()
    if not _SHORTEST <= len(value) <= _LONGEST or value.startswith(("/", "$")):
        return False
    return len(value) >= _ANY or not re.fullmatch(_SIMPLE, value)


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
