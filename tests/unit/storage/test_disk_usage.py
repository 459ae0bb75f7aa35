from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.process import Completed, docker_api
from build_tasks.storage import cache_records, disk_usage

RECORD = {"ID": "a", "Type": "regular", "Size": 7, "Shared": True, "InUse": False}
SAID = "ID: a\nSize: 1.5kB\nReclaimable: true\n"

Answers = dict[str, tuple[int, object]]


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[tuple[Path, Answers]]:
    """A Docker API on a socket, with the answers that a test gives it."""
    answers: Answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = answers.get(self.path, (404, {"message": "page not found"}))
            self.send_response(status)
            self.end_headers()
            said = content if isinstance(content, str) else json.dumps(content)
            self.wfile.write(said.encode())

        def address_string(self) -> str:
            return "a socket"

        def log_message(self, *_: object) -> None:
            pass

    path = tmp_path / "docker.sock"
    with socketserver.UnixStreamServer(str(path), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield path, answers
        server.shutdown()
        serving.join()


USAGE = "/v1.44/system/df?type=build-cache"


def client(path: Path) -> Client:
    return Client(
        "docker", ("docker-buildx",), {"DOCKER_HOST": f"unix://{path}", "BUILDX_CONFIG": "/none"}
    )


def test_the_api_is_asked_over_its_socket(docker: tuple[Path, Answers], tmp_path: Path) -> None:
    path, answers = docker
    answers["/_ping"] = (200, "OK")
    assert docker_api.get(path, "/_ping", timeout=5) == (200, None)
    assert docker_api.get(path, "/other", timeout=5) == (404, {"message": "page not found"})
    with pytest.raises(OSError, match="No such file"):
        docker_api.get(tmp_path / "nobody.sock", "/_ping", timeout=5)


def test_an_engines_own_builder_says_its_bytes_exactly(docker: tuple[Path, Answers]) -> None:
    path, answers = docker
    answers[USAGE] = (200, {"BuildCache": [RECORD]})
    (node,) = disk_usage.of_builder(client(path), "default")
    assert (node.exact, cache_records.total(node.records)) == (True, 7)


@pytest.mark.parametrize("answer", [(404, {"message": "no"}), (200, {}), (200, "no JSON")])
def test_what_the_api_does_not_say_buildx_does(
    docker: tuple[Path, Answers], monkeypatch: pytest.MonkeyPatch, answer: tuple[int, object]
) -> None:
    path, answers = docker
    answers[USAGE] = answer
    monkeypatch.setattr(process, "run", lambda *_, **__: Completed(("x",), 0, SAID, ""))
    (node,) = disk_usage.of_builder(client(path), "default")
    assert (node.exact, cache_records.total(node.records)) == (False, 1500)


def test_an_engine_elsewhere_is_asked_through_buildx(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(command: process.Command, **_: object) -> Completed:
        asked.append(command)
        return Completed(command, 0, SAID, "")

    monkeypatch.setattr(process, "run", run)
    far = Client(
        "docker", ("docker-buildx",), {"DOCKER_HOST": "ssh://there", "BUILDX_CONFIG": "/none"}
    )
    assert far.socket is None
    (node,) = disk_usage.of_builder(far, "default")
    assert (node.exact, cache_records.total(node.records)) == (False, 1500)
    assert asked == [("docker-buildx", "du", "--builder", "default", "--verbose")]
