"""GitHub's API for artifacts, and the storage that has their files, on two addresses.

The storage is another host for a client, and fails where it is told to.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghs_0123456789abcdefghijABCDEFGHIJ"  # noqa: S105 - of nobody
_PAGE = 2


@dataclass
class Request:
    """A request: its host, its path and its headers."""

    host: str
    path: str
    headers: Mapping[str, str]


@dataclass
class GitHub:
    """What GitHub has, and how it fails.

    Args:
        api: the address of the API.
        storage: the address of the files, by another name.
        artifacts: the artifacts of the run 7 of o/r, in pages of two.
        files: the content of each artifact by its id, or of each path of the storage.
        status: of the API's answers, by a part of the path; 0 for one that is cut off.
        storage_status: of the storage's answers.
        ranges: whether the storage sends parts of a file.
        cut: bytes after which the storage hangs up.
        drip: seconds before each kilobyte of the storage.
        location: where the artifact's file is said to be instead.
    """

    api: str = ""
    storage: str = ""
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    storage_status: int = 0
    ranges: bool = True
    cut: int = 0
    drip: float = 0.0
    location: str = ""
    requests: list[Request] = field(default_factory=list)

    def add(self, name: str, content: bytes, **fields: Any) -> None:
        """Add an artifact with a file."""
        number = len(self.artifacts) + 1
        entry = {"id": number, "name": name, "expired": False, "created_at": f"2026-{number:02}"}
        self.artifacts.append({**entry, **fields})
        self.files[str(number)] = content


def zipped(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip file as GitHub's action writes it: to a stream, without sizes in front."""
    stream = _Unseekable()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


class _Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    github: GitHub


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        host = self.headers["Host"]
        self.server.github.requests.append(Request(host, self.path, dict(self.headers)))
        with contextlib.suppress(OSError):
            (self.api if host.startswith("127") else self.file)(urlsplit(self.path))

    def api(self, parts: Any) -> None:
        for text, status in self.server.github.status.items():
            if text in parts.path:
                self.fail(status)
                return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, {"message": "Bad credentials"})
        elif parts.path == "/repos/o/r/actions/runs/7/artifacts":
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            every = self.server.github.artifacts
            found = [one for one in every if query.get("name", one["name"]) == one["name"]]
            start = (int(query["page"]) - 1) * _PAGE
            page = found[start : start + _PAGE]
            self.answer(200, {"total_count": len(found), "artifacts": page})
        elif match := re.fullmatch(r"/repos/o/r/actions/artifacts/(\d+)/zip", parts.path):
            address = f"{self.server.github.storage}/{match[1]}?sig=c2lnbmF0dXJl"
            self.answer(302, {}, Location=self.server.github.location or address)
        else:
            self.answer(404, {"message": "Not Found"})

    def fail(self, status: int) -> None:
        if status:
            there = {"Location": self.server.github.api} if 300 <= status < 400 else {}
            self.answer(status, {"message": "says why"}, **there)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"10\r\n{")

    def answer(self, status: int, content: object, **headers: str) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def file(self, parts: Any) -> None:
        if self.server.github.storage_status:
            self.answer(self.server.github.storage_status, {}, Location=self.server.github.location)
            return
        content = self.server.github.files[parts.path.strip("/")]
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = 0, len(content)
        if part and self.server.github.ranges:
            start = int(part[1])
            end = int(part[2]) + 1 if part[2] else end
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        for at in range(start, end, 1024):
            if self.server.github.cut and at >= self.server.github.cut:
                return
            time.sleep(self.server.github.drip)
            self.wfile.write(content[at : min(at + 1024, end)])

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[GitHub]:
    """Serve GitHub until the block ends."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        port = server.server_address[1]
        server.github = GitHub(f"http://127.0.0.1:{port}", f"http://localhost:{port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.github
        finally:
            server.shutdown()
            thread.join()
