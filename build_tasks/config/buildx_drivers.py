"""What buildx's drivers can be told: their options and the endpoints of their nodes.

The options are those that the drivers of buildx read (driver/*/factory.go, to buildx 0.36).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from build_tasks.errors import UsageError
from build_tasks.model.builder import Driver
from build_tasks.text.formatting import listed
from build_tasks.text.redaction import is_secret_name

_TEXT = re.compile(r".+")
_BOOLEAN = re.compile(r"true|false")
_NUMBER = re.compile(r"[0-9]+")
_SIZE = re.compile(r"[0-9]+[bkmg]?")
_FILE = re.compile(r"/.+")
_VALID = {
    _BOOLEAN: "true or false",
    _NUMBER: "a number",
    _SIZE: "a size like 4g",
    _FILE: "a file's absolute path",
    _TEXT: "text",
}
_ANY: Mapping[str, re.Pattern[str]] = {"default-load": _BOOLEAN}
#: The options of each driver, and how their values look.
OPTIONS: Mapping[Driver, Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        Driver.CONTAINER: {
            **_ANY,
            "allow-untrusted-image": _BOOLEAN,
            "cgroup-parent": _TEXT,
            "cpu-period": _NUMBER,
            "cpu-quota": _NUMBER,
            "cpu-shares": _NUMBER,
            "cpuset-cpus": _TEXT,
            "cpuset-mems": _TEXT,
            "env.NAME": _TEXT,
            "image": _TEXT,
            "memory": _SIZE,
            "memory-swap": _SIZE,
            "network": _TEXT,
            "provenance-add-gha": _BOOLEAN,
            "restart-policy": _TEXT,
        },
        Driver.REMOTE: {
            **_ANY,
            "cacert": _FILE,
            "cert": _FILE,
            "key": _FILE,
            "servername": _TEXT,
        },
        Driver.KUBERNETES: {
            **_ANY,
            "annotations": _TEXT,
            "buildkit-root-volume-memory": _TEXT,
            "env.NAME": _TEXT,
            "image": _TEXT,
            "labels": _TEXT,
            "limits.cpu": _TEXT,
            "limits.ephemeral-storage": _TEXT,
            "limits.memory": _TEXT,
            "loadbalance": re.compile("sticky|random"),
            "namespace": _TEXT,
            "nodeselector": _TEXT,
            "persistent-volume-claim.requests.storage": _TEXT,
            "qemu.image": _TEXT,
            "qemu.install": _BOOLEAN,
            "replicas": _NUMBER,
            "requests.cpu": _TEXT,
            "requests.ephemeral-storage": _TEXT,
            "requests.memory": _TEXT,
            "rootless": _BOOLEAN,
            "schedulername": _TEXT,
            "serviceaccount": _TEXT,
            "timeout": re.compile("([0-9]+(ms|s|m|h))+"),
            "tolerations": _TEXT,
        },
        Driver.DOCKER: {},
    }
)
_VALID[OPTIONS[Driver.KUBERNETES]["loadbalance"]] = "sticky or random"
_VALID[OPTIONS[Driver.KUBERNETES]["timeout"]] = "a time like 120s"

_REMOTE = re.compile(
    r"tcp://(?:\[[0-9a-fA-F:]+\]|[^\s/@:]+):[0-9]{1,5}|unix:///\S+|"
    r"(?:docker-container|kube-pod)://[^\s/]\S*|ssh://[^\s/]\S*"
)
_ENGINE = re.compile(r"(?:tcp|ssh)://[^\s/]\S*|unix:///\S+|[A-Za-z0-9][A-Za-z0-9_.+-]+")
_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@")


def options(driver: Driver, value: object, place: str) -> dict[str, str]:
    """Return a driver's options as the texts that buildx takes, in the order given.

    Args:
        driver: the driver.
        value: a table; a key with dots may stand there in quotes or as tables in each other.
        place: where it stands.

    Raises:
        UsageError: an option is unknown, or its value is of the wrong kind.
    """
    found: dict[str, str] = {}
    for key, item in _flat(value, place):
        text = str(item).lower() if isinstance(item, bool) else str(item)
        known = OPTIONS[driver]
        # A variable has a name of its own: env.HTTP_PROXY.
        name = "env.NAME" if re.fullmatch(r"env\.\w+", key) else key
        if name not in known or key == "env.NAME":
            raise UsageError(
                f"{place}: the {driver} driver has no option {key!r}: choose "
                f"{listed(known) or 'none'}"
            )
        if not known[name].fullmatch(text):
            raise UsageError(f"{place}.{key}: {item!r} is not {_VALID[known[name]]}")
        if name == "env.NAME" and is_secret_name(key.removeprefix("env.")):
            raise UsageError(
                f"{place}.{key}: looks like a secret, and everybody who can look at the builder "
                "can read its options: pass secrets to builds"
            )
        found[key] = text
    return found


def check_certificates(found: Mapping[str, str], place: str) -> None:
    """Raise UsageError unless a node's options name all of its certificates, or none."""
    if ("cert" in found) != ("key" in found):
        raise UsageError(f"{place}: cert and key belong together: one of them is missing")
    if {"cert", "servername"} & set(found) and "cacert" not in found:
        raise UsageError(f"{place}: cacert is missing: it says whom to trust")


def endpoint(driver: Driver, value: object, place: str) -> str:
    """Return where a node is, or empty text where the driver finds it by itself.

    Raises:
        UsageError: a node of this driver has no such endpoint.
    """
    if driver is Driver.KUBERNETES:
        if value is not None:
            raise UsageError(f"{place}: the kubernetes driver takes none: KUBECONFIG names it")
        return ""
    if value is None and driver is Driver.CONTAINER:
        return ""
    if isinstance(value, str) and _PASSWORD.search(value):
        raise UsageError(f"{place}: a password does not belong into an address")
    pattern, valid = (
        (
            _REMOTE,
            "tcp://HOST:PORT, unix:///PATH, docker-container://NAME, kube-pod://POD or ssh://",
        )
        if driver is Driver.REMOTE
        else (_ENGINE, "ssh://USER@HOST, tcp://HOST:PORT, unix:///PATH or a docker context's name")
    )
    if not isinstance(value, str) or not pattern.fullmatch(value):
        said = "is missing" if value is None else f"{value!r} is no endpoint"
        raise UsageError(f"{place}: {said}: give it like {valid}")
    return value


def _flat(value: object, place: str, before: str = "") -> list[tuple[str, object]]:
    if not isinstance(value, Mapping):
        raise UsageError(f'{place}: must be a table like {{ network = "host" }}, not {value!r}')
    pairs: list[tuple[str, object]] = []
    for key, item in value.items():
        if isinstance(item, Mapping):
            pairs += _flat(item, place, f"{before}{key}.")
        elif isinstance(item, str | int):
            pairs.append((f"{before}{key}", item))
        else:
            raise UsageError(f"{place}.{before}{key}: must be text or a number, not {item!r}")
    return pairs
