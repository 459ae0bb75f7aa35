"""Just enough of GitHub's cache service (its first version) for BuildKit to keep a cache there.

    with gha_cache() as service:
        environment = service.environment  # what buildx reads
        service.entries  # the names of what was written

The requests are those of tonistiigi/go-actions-cache, which BuildKit uses.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_API = "/_apis/artifactcache/"


@dataclass
class Service:
    """A running service.

    Args:
        address: host and port.
        refuses: every upload is answered with an error.
        entries: the committed entries' blobs, by name.
    """

    address: str
    refuses: bool = False
    entries: dict[str, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    blobs: dict[int, bytearray] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a runner tells its steps of the service."""
        scopes = json.dumps([{"Scope": "refs/heads/main", "Permission": 3}])
        claims = {"ac": scopes, "nbf": 0, "exp": int(time.time()) + 3600}
        token = ".".join((_encoded({"alg": "none"}), _encoded(claims), "eHg"))
        return {"ACTIONS_CACHE_URL": f"http://{self.address}/", "ACTIONS_RUNTIME_TOKEN": token}


@contextlib.contextmanager
def gha_cache() -> Iterator[Service]:
    """Serve until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.service = Service(f"127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    service: Service


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    # One request a connection: no thread is left waiting for another one.
    protocol_version = "HTTP/1.0"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        service = self.server.service
        url = urlsplit(self.path)
        if url.path == f"{_API}cache":
            wanted = parse_qs(url.query)["keys"][0].split(",")
            fitting = [name for name in service.entries if name.startswith(tuple(wanted))]
            if not fitting:
                self.answer(204)
                return
            place = f"http://{service.address}/blobs/{service.entries[fitting[-1]]}"
            self.answer(200, {"cacheKey": fitting[-1], "archiveLocation": place})
            return
        blob = bytes(service.blobs[int(url.path.rpartition("/")[2])])
        self.send_response(200)
        self.send_header("Content-Length", str(len(blob)))
        self.end_headers()
        self.wfile.write(blob)

    def do_POST(self) -> None:
        """Reserve an entry, or commit one."""
        service, asked = self.server.service, json.loads(self.body())
        number = self.number()
        if number:
            service.entries[service.names[number]] = number
            self.answer(204)
            return
        number = len(service.names) + 1
        service.names[number] = asked["key"]
        service.blobs[number] = bytearray()
        self.answer(201, {"cacheId": number})

    def do_PATCH(self) -> None:
        """Upload a piece of an entry."""
        body, number = self.body(), self.number()
        if self.server.service.refuses:
            self.answer(403, {"message": "a fault of the tests"})
            return
        found = re.match(r"bytes (\d+)-", self.headers["Content-Range"])
        assert found
        start = int(found[1])
        self.server.service.blobs[number][start : start + len(body)] = body
        self.answer(204)

    def number(self) -> int:
        found = re.fullmatch(rf"{_API}caches/(\d+)", self.path)
        return int(found[1]) if found else 0

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def answer(self, status: int, data: Any = None) -> None:
        body = b"" if data is None else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _encoded(data: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()
