"""Where the front ends are tried."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fake_docker import FAKE, Bench
from suite import clean


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "bin").mkdir()
    plugins = tmp_path / "docker-config" / "cli-plugins"
    plugins.mkdir(parents=True)
    for program in (tmp_path / "bin" / "docker", plugins / "docker-buildx"):
        program.write_text(FAKE)
        program.chmod(0o755)
    info = {
        "ServerVersion": "28.5.2",
        "Architecture": "x86_64",
        "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    }
    environment = {
        name: value for name, value in clean().items() if not name.startswith(("SSL_", "GIT_"))
    }
    environment |= {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AIRFLOW_IMAGES_CACHE": str(tmp_path / "cache"),
        "AIRFLOW_IMAGES_CACHE_BRANCH": "main",  # whatever is checked out
        "DOCKER_CONFIG": str(tmp_path / "docker-config"),
        "DOCKER_HOST": f"unix://{tmp_path}/no.sock",
        "FAKE_LOG": str(tmp_path / "log"),
        "FAKE_INFO": json.dumps(info),
        "FAKE_METADATA": "{}",
        "NOX_SCRIPT_MODE": "none",
        "NO_COLOR": "1",
        "COLUMNS": "300",
    }
    return Bench(tmp_path, environment)


class _Files(BaseHTTPRequestHandler):
    """Answers with a file of one pin that has the path's name; with a fault where it is a number.

    `/cut` ends in the middle.
    """

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        text = f"{name}==1\n".encode()
        self.send_response(int(name) if name.isdecimal() else 200)
        self.send_header("Content-Length", str(len(text) + 9 * (name == "cut")))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    """The address of a server on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
