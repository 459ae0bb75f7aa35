"""A BuildKit node over TCP: each connection is handed to `buildx dial-stdio`, as socat would."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path


@contextlib.contextmanager
def served(buildx: Path, host: str) -> Iterator[str]:
    """Serve the BuildKit of a private daemon on a free port; give the address of the node.

    Args:
        buildx: the plugin that dials.
        host: the address of the daemon's API.
    """
    environment = {**os.environ, "DOCKER_HOST": host}
    environment.pop("BUILDX_CONFIG", None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        children: list[subprocess.Popen[bytes]] = []
        accepting = threading.Thread(
            target=_accept, args=(server, buildx, environment, children), daemon=True
        )
        accepting.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join(10)
            for child in children:
                child.terminate()
            for child in children:
                child.wait(10)


def _accept(
    server: socket.socket,
    buildx: Path,
    environment: Mapping[str, str],
    children: list[subprocess.Popen[bytes]],
) -> None:
    command = [str(buildx), "--builder", "default", "dial-stdio"]
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # the test is over
            return
        with connection:
            children.append(
                subprocess.Popen(
                    command,
                    env=dict(environment),
                    stdin=connection.fileno(),
                    stdout=connection.fileno(),
                    stderr=subprocess.DEVNULL,
                )
            )
