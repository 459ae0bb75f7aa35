"""A daemon on a TCP port, as one on another machine is: BuildKit by default."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: What buildx has to be told to pass on a connection to the engine's BuildKit.
BUILDKIT = ("--builder", "default", "dial-stdio")
#: The same for docker and the engine's API.
ENGINE = ("system", "dial-stdio")


@dataclass
class Remote:
    """A port that leads to a daemon; it can hang, and it can die.

    Args:
        program: the program that passes on a connection.
        environment: the variables that lead it to the engine.
        certificates: what the port proves itself with, and whose it asks for.
        words: the program's arguments.
    """

    program: str
    environment: Mapping[str, str]
    certificates: ssl.SSLContext | None = None
    words: tuple[str, ...] = BUILDKIT
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
            [self.program, *self.words],
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
    program: str,
    environment: Mapping[str, str],
    certificates: ssl.SSLContext | None = None,
    words: tuple[str, ...] = BUILDKIT,
) -> Iterator[Remote]:
    """Give a port that leads to a daemon, until the block ends."""
    one = Remote(program, environment, certificates, words)
    one.listen()
    try:
        yield one
    finally:
        one.die()


def certificates(folder: Path, address: str = "127.0.0.1") -> ssl.SSLContext:
    """Write a CA, a server's and a client's key and certificate; return the server's context."""

    def openssl(*words: str) -> None:
        subprocess.run(["/usr/bin/openssl", *words], cwd=folder, capture_output=True, check=True)

    new = ("req", "-newkey", "rsa:2048", "-nodes", "-subj")
    openssl(*new, "/CN=tests", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem")
    for who in ("server", "client"):
        openssl(*new, f"/CN={who}", "-keyout", f"{who}.key", "-out", f"{who}.csr")
        (folder / "ext").write_text(f"subjectAltName=IP:{address},DNS:node.example.com\n")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
        openssl(
            "x509", "-req", "-in", f"{who}.csr", *signed, "-extfile", "ext", "-out", f"{who}.pem"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context
