"""Whether a builder's nodes answer, known within seconds.

buildx waits twenty for a node that hangs, and then does not say which it was. Here each is asked
for as little as shows that it is there, all at the same time: a BuildKit for the first frame of its
HTTP/2, a Docker Engine for its version.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from build_tasks import process
from build_tasks.builders.store import Stored, StoredNode
from build_tasks.buildx import docker, verbs
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError, NetworkError
from build_tasks.model.builder import Driver

#: Seconds for a node to answer: one that is only busy must not be taken for dead.
ANSWER = 7.0
#: Seconds more for a program that is told to end.
_MARGIN = 1.0
#: The connection preface of a client, with empty settings (RFC 9113, 3.4); a server begins with
#: its settings, a frame of type 4.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS = 4
_FRAME = 9


@dataclass(frozen=True)
class Silent:
    """A node that does not answer, and why."""

    node: StoredNode
    reason: str

    def __str__(self) -> str:
        return f"node {self.node.name} ({self.node.endpoint}) does not answer: {self.reason}"


def silent(client: Client, builder: Stored, nodes: Iterable[StoredNode]) -> list[Silent]:
    """Return those of some nodes that do not answer.

    Args:
        client: the way to the builder.
        builder: the builder.
        nodes: the nodes to ask; those on the engine itself are passed over.
    """
    asked = [node for node in nodes if _remote(client, builder, node)]
    reasons = dict.fromkeys(asked, f"nothing came in {ANSWER:g} s")

    def ask(node: StoredNode) -> None:
        reasons[node] = _reason(client, builder, node)

    # Not a pool, which waits for all of its threads: looking up a name cannot be cut short.
    threads = [threading.Thread(target=ask, args=(node,), daemon=True) for node in asked]
    deadline = time.monotonic() + ANSWER + _MARGIN
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [Silent(node, reason) for node, reason in reasons.items() if reason]


def require(client: Client, builder: Stored, nodes: Iterable[StoredNode]) -> None:
    """Raise NetworkError, which names them, unless these nodes answer."""
    found = silent(client, builder, nodes)
    if found:
        told = "; ".join(map(str, found))
        raise NetworkError(f"builder {builder.name}: {told}")


def _remote(client: Client, builder: Stored, node: StoredNode) -> bool:
    if builder.driver == Driver.CONTAINER:
        return not (client.owns(node.endpoint) or node.endpoint.startswith("unix:"))
    return builder.driver in {Driver.REMOTE, Driver.KUBERNETES}


def _reason(client: Client, builder: Stored, node: StoredNode) -> str:
    """Return why a node does not answer, empty if it does."""
    try:
        if builder.driver == Driver.REMOTE and node.endpoint.startswith(("tcp:", "unix:")):
            _greet(node)
        elif builder.driver == Driver.CONTAINER:
            command = docker.version_command(client, node.endpoint)
            process.run(command, environment=client.environment, timeout=ANSWER)
        else:
            verbs.inspect(client, builder.name, timeout=ANSWER)
    except TimeoutError:
        return f"nothing came in {ANSWER:g} s"
    except (OSError, ImagesError) as error:
        return str(getattr(error, "strerror", None) or error)
    return ""


def _greet(node: StoredNode) -> None:
    """Say hello to a BuildKit and hear its hello, or raise OSError."""
    deadline = time.monotonic() + ANSWER
    with _connect(node) as connection:
        connection.sendall(_PREFACE)
        said = b""
        while len(said) < _FRAME:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            more = connection.recv(_FRAME - len(said))
            if not more:
                raise ConnectionError("it ended the connection at once")
            said += more
    if said[3] != _SETTINGS:
        raise ConnectionError("what answers there is no BuildKit")


def _connect(node: StoredNode) -> socket.socket:
    where = urlsplit(node.endpoint)
    if where.scheme == "unix":
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(ANSWER)
        try:
            local.connect(where.path)
        except OSError:
            local.close()
            raise
        return local
    options = dict(node.options)
    for name in ("cacert", "cert", "key"):
        if name in options and not Path(options[name]).is_file():
            raise FileNotFoundError(f"{name}: no such file: {options[name]}")
    plain = socket.create_connection((where.hostname, where.port), ANSWER)
    if "cacert" not in options:
        return plain
    import ssl  # noqa: PLC0415 - only where certificates are

    trusted = ssl.create_default_context(cafile=options["cacert"])
    trusted.set_alpn_protocols(["h2"])
    if "cert" in options:
        trusted.load_cert_chain(options["cert"], options["key"])
    return trusted.wrap_socket(plain, server_hostname=options.get("servername", where.hostname))
