"""Check within seconds whether the nodes of a builder answer.

buildx waits twenty seconds for a node that hangs, and then does not name it. Here all nodes are
asked at the same time for the least that shows that they work: a BuildKit for the first frame of
its HTTP/2 connection, a Docker Engine for its version.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from build_tasks import process
from build_tasks.builders import nodes as builder_nodes
from build_tasks.buildx import docker
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError, NetworkError
from build_tasks.model.builder import Builder, Driver, Node

#: Seconds for a node to answer: enough for one that is only busy.
ANSWER = 7.0
#: Seconds more for a program to end after its timeout.
_MARGIN = 1.0
#: The client's connection preface with empty settings (RFC 9113, 3.4). The server answers with its
#: own settings: a frame header of 9 bytes, whose type, the fourth byte, is 4.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_HEADER = 9
_SETTINGS = 4


def silent_nodes(client: Client, builder: Builder, nodes: Iterable[Node]) -> dict[Node, str]:
    """Return why some nodes do not answer; nodes on the engine itself are not asked."""
    remote = [node for node in nodes if _is_remote(client, builder, node)]
    reasons = dict.fromkeys(remote, f"nothing came in {ANSWER:g} s")

    def ask(node: Node) -> None:
        reasons[node] = _reason(client, builder, node)

    # A pool would wait for all of its threads, but a lookup of a name cannot be cancelled.
    threads = [threading.Thread(target=ask, args=(node,), daemon=True) for node in remote]
    deadline = time.monotonic() + ANSWER + _MARGIN
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {node: reason for node, reason in reasons.items() if reason}


def require(client: Client, builder: Builder, nodes: Iterable[Node]) -> None:
    """Raise NetworkError, naming the nodes, unless these nodes answer."""
    messages = [
        f"node {node.name} ({node.endpoint}) does not answer: {reason}"
        for node, reason in silent_nodes(client, builder, nodes).items()
    ]
    if messages:
        raise NetworkError(f"builder {builder.name}: {'; '.join(messages)}")


def _is_remote(client: Client, builder: Builder, node: Node) -> bool:
    if builder.driver == Driver.CONTAINER:
        own = not node.endpoint or client.owns(node.endpoint)
        return not own and not node.endpoint.startswith("unix:")
    return builder.driver in {Driver.REMOTE, Driver.KUBERNETES}


def _reason(client: Client, builder: Builder, node: Node) -> str:
    """Return why a node does not answer, empty if it does."""
    try:
        if builder.driver == Driver.REMOTE and node.endpoint.startswith(("tcp:", "unix:")):
            _handshake(node)
        elif builder.driver == Driver.CONTAINER:
            command = docker.version_command(client, node.endpoint)
            process.run(command, environment=client.environment, timeout=ANSWER)
        else:
            builder_nodes.read(client, builder.name, timeout=ANSWER)
    except TimeoutError:
        return f"nothing came in {ANSWER:g} s"
    except (OSError, ImagesError) as error:
        return str(getattr(error, "strerror", None) or error)
    return ""


def _handshake(node: Node) -> None:
    """Exchange the first frames with a BuildKit, or raise OSError."""
    address = urlsplit(node.endpoint)
    local = address.scheme == "unix"
    with socket.socket(socket.AF_UNIX) if local else _connect(node) as connection:
        if local:
            connection.settimeout(ANSWER)
            connection.connect(address.path)
        connection.sendall(_PREFACE)
        with connection.makefile("rb") as stream:
            header = stream.read(_HEADER)
    if len(header) < _HEADER:
        raise ConnectionError("it closed the connection at once")
    if header[3] != _SETTINGS:
        raise ConnectionError("it is not a BuildKit")


def _connect(node: Node) -> socket.socket:
    address = urlsplit(node.endpoint)
    options = dict(node.options)
    for name in ("cacert", "cert", "key"):
        if name in options and not Path(options[name]).is_file():
            raise FileNotFoundError(f"{name}: no such file: {options[name]}")
    plain = socket.create_connection((address.hostname, address.port), ANSWER)
    if "cacert" not in options:
        return plain
    context = ssl.create_default_context(cafile=options["cacert"])
    context.set_alpn_protocols(["h2"])
    if "cert" in options:
        context.load_cert_chain(options["cert"], options["key"])
    return context.wrap_socket(plain, server_hostname=options.get("servername", address.hostname))
