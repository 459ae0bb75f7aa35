"""A private package index, pypiserver behind TLS with an own CA and a password."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import remote

#: Variables of the server's own process.
_USER, _PASSWORD = "INDEX_USER", "INDEX_PASSWORD"


@dataclass(frozen=True)
class PackageIndex:
    """A running index, its CA, and the folder of its packages."""

    url: str
    ca: Path
    folder: Path


@contextlib.contextmanager
def serving(
    packages: Path, folder: Path, user: str, password: str, *, address: str = "127.0.0.1"
) -> Iterator[PackageIndex]:
    """Run an index of a folder of packages; the other folder gets its certificates."""
    remote.certificates(folder, address)
    words = (sys.executable, "-W", "ignore", __file__, str(packages), str(folder), address)
    environment = {**os.environ, _USER: user, _PASSWORD: password}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline())
            yield PackageIndex(f"https://{address}:{port}/simple/", folder / "ca.pem", packages)
        finally:
            process.kill()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _serve(packages: Path, certificates: Path, address: str) -> None:
    import pypiserver  # noqa: PLC0415 - only its own process may have what it imports

    login = (os.environ[_USER], os.environ[_PASSWORD])
    application = pypiserver.app(
        roots=[packages],
        authenticate=["list", "download", "update"],
        auther=lambda *given: given == login,
        disable_fallback=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    server = make_server(address, 0, application, _Server, _Silent)
    # The handshake is made in the thread of each connection.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
