"""Driver options and endpoints of builders; buildx itself checks the options of its drivers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from build_tasks.config.parsing import expected
from build_tasks.errors import UsageError
from build_tasks.model.builder import Driver
from build_tasks.text.redaction import is_secret_name

#: The options that name files.
_FILES = frozenset(("cacert", "cert", "key"))
_REMOTE = re.compile(
    r"tcp://(?:\[[0-9a-fA-F:]+\]|[^\s/@:]+):[0-9]{1,5}|unix:///\S+|"
    r"(?:docker-container|kube-pod)://[^\s/]\S*|ssh://[^\s/]\S*"
)
_ENGINE = re.compile(r"(?:tcp|ssh)://[^\s/]\S*|unix:///\S+|[A-Za-z0-9][A-Za-z0-9_.+-]+")
_ENDPOINTS = {
    Driver.REMOTE: (
        _REMOTE,
        "tcp://HOST:PORT, unix:///PATH, docker-container://NAME, kube-pod://POD or ssh://",
    ),
    Driver.CONTAINER: (
        _ENGINE,
        "ssh://USER@HOST, tcp://HOST:PORT, unix:///PATH or a docker context",
    ),
}
_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@")


def parse_options(value: object, place: str) -> dict[str, str]:
    """Return driver options as buildx takes them.

    Args:
        value: a table; `env.NAME` may be a quoted key or a table in the table.
        place: the place of the table.

    Raises:
        UsageError: an option is a secret or a relative path, or neither text nor a number.
    """
    options: dict[str, str] = {}
    for key, item in _flatten(value, place):
        text = str(item).lower() if isinstance(item, bool) else str(item)
        if key in _FILES and not text.startswith("/"):
            raise expected("an absolute path", item, f"{place}.{key}")
        if is_secret_name(key.removeprefix("env.")):
            raise UsageError(
                f"{place}.{key}: looks like a secret, and everyone who can inspect the builder "
                "can read its options: pass secrets to builds"
            )
        options[key] = text
    return options


def parse_endpoint(driver: Driver, value: object, place: str) -> str:
    """Return the endpoint of a node, empty text where the driver needs none.

    Raises:
        UsageError: the driver has no such endpoint.
    """
    if driver is Driver.KUBERNETES:
        if value is not None:
            raise UsageError(f"{place}: the kubernetes driver takes none: it uses KUBECONFIG")
        return ""
    if value is None and driver is Driver.CONTAINER:
        return ""
    if isinstance(value, str) and _PASSWORD.search(value):
        raise UsageError(f"{place}: an endpoint must not contain a password")
    pattern, valid = _ENDPOINTS[driver]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise expected(valid, value, place)
    return value


def _flatten(value: object, place: str, prefix: str = "") -> Iterator[tuple[str, str | int]]:
    if not isinstance(value, Mapping):
        raise expected('a table like { network = "host" }', value, place)
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flatten(item, place, f"{prefix}{key}.")
        elif isinstance(item, str | int):
            yield f"{prefix}{key}", item
        else:
            raise expected("a string or a number", item, f"{place}.{prefix}{key}")
