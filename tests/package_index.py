"""A private package index, pypiserver behind TLS with an own CA and a password; and wheels."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
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


def wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    headers: Sequence[str] = (),
    scripts: Mapping[str, str | bytes] | None = None,
) -> Path:
    """Write a wheel with an empty module, and with scripts where they are given."""
    module = name.replace("-", "_")
    stem = f"{module}-{version}"
    info = f"{stem}.dist-info"
    lines = ("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *headers, "")
    files: dict[str, str | bytes] = {
        f"{module}.py": "",
        f"{info}/METADATA": "\n".join(lines),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **{f"{stem}.data/scripts/{script}": text for script, text in (scripts or {}).items()},
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            entry = zipfile.ZipInfo(file)
            entry.external_attr = (0o100755 if "/scripts/" in file else 0o100644) << 16
            archive.writestr(entry, content)
    return path


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
