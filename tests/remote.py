"""A BuildKit on a TCP port: what a daemon on another machine is to buildx."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass
class Remote:
    """A port that leads to the BuildKit of an engine; it can hang, and it can die.

    Args:
        buildx: the plugin.
        environment: the variables that lead it to the engine.
        certificates: what the port proves itself with, and whose it asks for.
    """

    buildx: str
    environment: Mapping[str, str]
    certificates: ssl.SSLContext | None = None
    port: int = 0
    connections: int = 0
    _hung: threading.Event = field(default_factory=threading.Event)
    _listener: socket.socket = field(default_factory=socket.socket)

    @property
    def endpoint(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def listen(self) -> None:
        self._listener.bind(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self) -> None:
        """From now on, accept and say nothing."""
        self._hung.set()

    def recover(self) -> None:
        self._hung.clear()

    def die(self) -> None:
        """From now on, refuse."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        kept: list[socket.socket] = []
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                for one in kept:
                    one.close()
                return
            self.connections += 1
            if self._hung.is_set():
                kept.append(connection)
            else:
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        if self.certificates is None:  # the connection itself is handed over
            with plain, self._dial(plain.fileno()):
                return
        try:
            connection = self.certificates.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        with connection, self._dial(subprocess.PIPE) as dialled:
            back = threading.Thread(target=_back, args=(dialled, connection), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while chunk := connection.recv(65536):
                    assert dialled.stdin
                    dialled.stdin.write(chunk)
            dialled.kill()
            back.join()

    def _dial(self, stream: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self.buildx, "--builder", "default", "dial-stdio"],
            env=dict(self.environment),
            stdin=stream,
            stdout=stream,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )


def _back(dialled: subprocess.Popen[bytes], connection: socket.socket) -> None:
    assert dialled.stdout
    with contextlib.suppress(OSError):
        while chunk := dialled.stdout.read(65536):
            connection.sendall(chunk)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def remote(
    buildx: str, environment: Mapping[str, str], certificates: ssl.SSLContext | None = None
) -> Iterator[Remote]:
    """Give a port that leads to an engine's BuildKit, until the block ends."""
    one = Remote(buildx, environment, certificates)
    one.listen()
    try:
        yield one
    finally:
        one.die()
