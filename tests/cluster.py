"""As much of a Kubernetes API as buildx needs to make deployments; nothing runs in them."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Cluster:
    """What buildx asked a cluster for.

    Args:
        made: what was posted, by path and as sent (Kubernetes' own protobuf form).
        removed: the paths of what was deleted.
    """

    made: list[tuple[str, bytes]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def texts(self, kind: str) -> list[str]:
        """Return the printable texts in what was posted of a kind, with one space between."""
        return [
            " ".join(re.findall(r"[\x20-\x7e\n]{2,}", body.decode("latin-1")))
            for path, body in self.made
            if path.endswith(f"/{kind}")
        ]


@contextlib.contextmanager
def cluster(kubeconfig: Path) -> Iterator[Cluster]:
    """Serve a cluster's API until the block ends.

    Args:
        kubeconfig: the file to write that leads there.
    """
    seen = Cluster()

    class Api(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            kind = self.path.rpartition("/")[0]
            if self.path.partition("?")[0].endswith("/pods"):
                self.answer(200, {"kind": "PodList", "apiVersion": "v1", "items": []})
            elif any(path == kind and name.encode() in body for path, body in seen.made):
                ready = {"replicas": 9, "readyReplicas": 9}
                about = {"kind": "Deployment", "apiVersion": "apps/v1", "status": ready}
                self.answer(200, {**about, "metadata": {"name": name}})
            else:
                self.answer(404, {"kind": "Status", "reason": "NotFound", "code": 404})

        def do_POST(self) -> None:
            seen.made.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            kind = "ConfigMap" if self.path.endswith("configmaps") else "Deployment"
            version = "v1" if kind == "ConfigMap" else "apps/v1"
            self.answer(201, {"kind": kind, "apiVersion": version})

        def do_DELETE(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            seen.removed.append(self.path)
            self.answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

        def answer(self, code: int, said: dict[str, object]) -> None:
            body = json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            return  # buildx hangs up as it likes

    server = Server(("127.0.0.1", 0), Api)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": address}}],
        "users": [{"name": "x", "user": {}}],
    }
    kubeconfig.write_text(json.dumps(text))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
