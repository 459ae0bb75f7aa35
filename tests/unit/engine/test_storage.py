from __future__ import annotations

import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.engine import credentials, storage
from build_tasks.engine.state import Folders, Running
from build_tasks.errors import CommandError
from build_tasks.process import Command, Completed

DAY = 86400.0
NOW = 1_000_000_000.0


class Registry:
    """The files of a registry."""

    def __init__(self, where: Folders) -> None:
        self.where = where
        self.root = where.home / "registry/docker/registry/v2"

    def blob(self, text: str) -> str:
        encoded = hashlib.sha256(text.encode()).hexdigest()
        data = self.root / "blobs/sha256" / encoded[:2] / encoded / "data"
        data.parent.mkdir(parents=True, exist_ok=True)
        data.write_text(text)
        return f"sha256:{encoded}"

    def push(self, repository: str, text: str, *tags: str, age: float = 0.0) -> str:
        digest = self.blob(text)
        manifests = self.root / "repositories" / repository / "_manifests"
        encoded = digest.partition(":")[2]
        self.link(manifests / "revisions/sha256" / encoded / "link", digest, age)
        for tag in tags:
            self.link(manifests / "tags" / tag / "current/link", digest, age)
            self.link(manifests / "tags" / tag / "index/sha256" / encoded / "link", digest, age)
        return digest

    def image(self, repository: str, layer: str, *tags: str, age: float = 0.0) -> str:
        layers = [{"digest": self.blob(layer)}]
        text = json.dumps({"config": {"digest": self.blob(f"{layer} config")}, "layers": layers})
        return self.push(repository, text, *tags, age=age)

    def index(self, repository: str, *children: str, tag: str) -> str:
        manifests = [{"digest": child} for child in children]
        return self.push(repository, json.dumps({"manifests": manifests}), tag)

    @staticmethod
    def link(path: Path, digest: str, age: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(digest)
        os.utime(path, (NOW - age, NOW - age))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(Folders(tmp_path / "engine"))


def gone(registry: Registry, older: float = 0.0) -> set[str]:
    found = storage.superseded(registry.where, NOW, older)
    return {digest for _, digest in found.manifests}


def test_an_empty_registry_keeps_nothing(registry: Registry) -> None:
    assert storage.superseded(registry.where, NOW) == storage.Superseded((), 0)
    assert storage.remove(registry.where, running("x:1"), NOW) == storage.Superseded((), 0)


def test_what_a_tag_was_before_can_go_and_what_it_is_stays(registry: Registry) -> None:
    old = registry.image("a/b", "layer 1", "latest")
    new = registry.image("a/b", "layer 22", "latest")
    found = storage.superseded(registry.where, NOW)
    assert found.manifests == (("a/b", old),)
    manifest = registry.root / "blobs/sha256" / old[7:9] / old[7:] / "data"
    assert found.bytes == len("layer 1") + len("layer 1 config") + manifest.stat().st_size
    registry.image("a/b", "layer 1", "other")
    assert gone(registry) == set(), "another tag is at it"
    assert new


def test_a_layer_that_another_image_has_stays(registry: Registry) -> None:
    registry.image("a/b", "shared", "latest")
    registry.image("a/b", "new", "latest")
    registry.image("c", "shared", "latest")
    found = storage.superseded(registry.where, NOW)
    assert len(found.manifests) == 1
    assert found.bytes == 0, "the same manifest and layers are in the other repository"


def test_the_platforms_of_an_index_stay_with_it_and_go_with_it(registry: Registry) -> None:
    amd64, arm64 = registry.image("a", "amd64"), registry.image("a", "arm64")
    index = registry.index("a", amd64, arm64, tag="latest")
    assert gone(registry) == set()
    other = registry.image("a", "arm64 anew")
    registry.index("a", amd64, other, tag="latest")
    assert gone(registry) == {index, arm64}


def test_what_waits_to_be_merged_stays_for_a_week(registry: Registry) -> None:
    registry.image("a", "new", age=6 * DAY)
    old = registry.image("a", "old", age=8 * DAY)
    assert gone(registry) == {old}


def test_an_age_holds_for_what_was_superseded(registry: Registry) -> None:
    old = registry.image("a", "1", "latest", age=3 * DAY)
    registry.image("a", "2", "latest", age=DAY)
    registry.image("a", "3", "latest")
    assert gone(registry, older=2 * DAY) == {old}


@pytest.mark.parametrize("text", ["[]", "{", '{"manifests": 1, "layers": [1], "config": []}'])
def test_a_manifest_that_is_none_names_nothing(registry: Registry, text: str) -> None:
    registry.push("a", text, "latest")
    assert gone(registry) == set()


class Handler(http.server.BaseHTTPRequestHandler):
    asked: list[tuple[str, str]] = []  # noqa: RUF012 - one test at a time
    status = 202

    def do_DELETE(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"]))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Handler.asked.clear()
    Handler.status = 202
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def running(address: str) -> Running:
    return Running("unstable", address, False, {})


def test_manifests_are_removed_through_the_registry_and_then_it_collects(
    registry: Registry, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = registry.image("a", "1", "latest")
    registry.image("a", "2", "latest")
    ran: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        ran.append(command)
        (registry.root / "blobs/sha256" / old[7:9] / old[7:] / "data").unlink()
        return Completed(command, 0, "", "")

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(credentials, "authorization", lambda _: "Basic x")
    found = storage.remove(registry.where, running(address), NOW)
    assert Handler.asked == [(f"/v2/a/manifests/{old}", "Basic x")]
    assert ran[0][1:] == ("garbage-collect", str(registry.where.home / "registry.yml"))
    assert found.manifests == (("a", old),)
    assert found.bytes > 0


def test_a_registry_that_refuses_or_is_not_there_is_one_line(
    registry: Registry, address: str
) -> None:
    registry.image("a", "1", "latest")
    registry.image("a", "2", "latest")
    Handler.status = 405
    with pytest.raises(CommandError, match=r"the registry does not remove /v2/a/manifests/.*: 405"):
        storage.remove(registry.where, running(address), NOW)
    with pytest.raises(CommandError, match=r"the registry on 127\.0\.0\.1:1 does not answer"):
        storage.remove(registry.where, running("127.0.0.1:1"), NOW)
