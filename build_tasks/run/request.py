"""What the options ask of a container, as the values of docker's options."""

from __future__ import annotations

import ipaddress
import os
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from build_tasks import paths
from build_tasks.config.options import Options
from build_tasks.config.parsing import expected
from build_tasks.errors import UsageError
from build_tasks.model.cache_backends import csv_value

_PORT = re.compile(
    r"(?:(?P<address>[0-9]+\.[0-9.]+|\[[0-9A-Fa-f:.]+\]):)?"
    r"(?P<host>[0-9]{1,5})(?::(?P<container>[0-9]{1,5}))?"
)
_MOUNT = re.compile(r"(?P<source>.+?):(?P<target>/[^:]*)(?P<readonly>:ro)?")
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Request:
    """What the options ask of a container.

    Args:
        command: the command; empty for that of the image.
        environment: `NAME=VALUE`, or `NAME` for the value that this process has.
        mounts: values of `docker run --mount`.
        ports: values of `docker run --publish`.
    """

    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()


def parse(options: Options, command: tuple[str, ...]) -> Request:
    """Return what the options ask for; the command is the one to run by default.

    Raises:
        UsageError: a port, a variable or a mount is wrong.
    """

    def values(name: str, parse: Callable[[str, str], str]) -> tuple[str, ...]:
        return tuple(parse(text, f"--{name}") for text in options.texts(name))

    return Request(
        options.texts("command") or command,
        values("env", _variable),
        values("mount", _mount),
        values("port", _port),
    )


def bind(source: Path, target: str, *, readonly: bool = False) -> str:
    """Return the value of `--mount` for a file or folder of this machine."""
    words = ["type=bind", f"source={source}", f"target={target}"]
    return csv_value([*words, "readonly"] if readonly else words)


def _port(text: str, place: str) -> str:
    """Return a port to publish; on the loopback interface unless an address is given."""
    match = _PORT.fullmatch(text)
    if match:
        address = match["address"] or "127.0.0.1"
        ports = match["host"], match["container"] or match["host"]
        if _is_address(address) and all(0 < int(port) < 2**16 for port in ports):
            return ":".join((address, *ports))
    raise expected("a port like 8080, 8080:80 or 0.0.0.0:8080:80", text, place)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _variable(text: str, place: str) -> str:
    """Return a variable, whose value is not shown in an error."""
    name, equals, _ = text.partition("=")
    if not _VARIABLE.fullmatch(name):
        raise expected("NAME, or NAME=VALUE", name, place)
    if not equals and name not in os.environ:
        raise UsageError(f"{place}: {name} is not set: set it, or write {name}=VALUE")
    return text


def _mount(text: str, place: str) -> str:
    match = _MOUNT.fullmatch(text)
    if not match:
        raise expected("PATH:PATH_IN_THE_CONTAINER, with :ro for read-only", text, place)
    if not posixpath.normpath(match["target"]).strip("/"):
        raise UsageError(f"{place}: nothing can be mounted at the root of a container: {text}")
    source = paths.expand_user(match["source"]).absolute()
    if not os.path.exists(source):  # noqa: PTH110 - Path.exists raises for a name that is too long
        raise UsageError(f"{place}: no such file or folder: {match['source']}")
    return bind(source, match["target"], readonly=bool(match["readonly"]))
