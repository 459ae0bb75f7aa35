"""A Docker API on a socket, with the answers that a test gives it."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path


@dataclass(frozen=True)
class DockerApi:
    """The socket, and the status and content of each answer by its path."""

    path: Path
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)


@contextlib.contextmanager
def serving(path: Path) -> Iterator[DockerApi]:
    api = DockerApi(path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = api.answers.get(self.path, (404, {"message": "page not found"}))
            self.send_response(status)
            self.end_headers()
            text = content if isinstance(content, str) else json.dumps(content)
            self.wfile.write(text.encode())

        def address_string(self) -> str:
            return "a socket"

        def log_message(self, *_: object) -> None:
            pass

    with socketserver.UnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield api
        server.shutdown()
        thread.join()
