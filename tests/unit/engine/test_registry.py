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
from build_tasks.engine import credentials, registry
from build_tasks.engine.folders import Folders, engine_folders
from build_tasks.engine.registry import Superseded
from build_tasks.engine.state import EngineState
from build_tasks.errors import CommandError
from build_tasks.process import Command, Completed

DAY = 86400.0
NOW = 1_000_000_000.0


class Registry:
    """The files of a registry."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self.root = folders.registry

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
def files(tmp_path: Path) -> Registry:
    return Registry(Folders(tmp_path / "engine"))


def gone(files: Registry, older: float = 0.0) -> set[str]:
    found = registry.superseded(files.folders, NOW, older)
    return {digest for _, digest in found.manifests}


def test_an_empty_registry_has_nothing_to_remove(files: Registry) -> None:
    assert registry.superseded(files.folders, NOW) == Superseded((), 0)
    assert registry.remove_superseded(files.folders, running("x:1"), NOW) == Superseded((), 0)


def test_what_a_tag_was_before_is_superseded(files: Registry) -> None:
    old = files.image("a/b", "layer 1", "latest")
    new = files.image("a/b", "layer 22", "latest")
    found = registry.superseded(files.folders, NOW)
    assert found.manifests == (("a/b", old),)
    manifest = files.root / "blobs/sha256" / old[7:9] / old[7:] / "data"
    assert found.bytes == len("layer 1") + len("layer 1 config") + manifest.stat().st_size
    files.image("a/b", "layer 1", "other")
    assert gone(files) == set(), "another tag is at it"
    assert new


def test_a_layer_of_another_image_is_kept(files: Registry) -> None:
    files.image("a/b", "shared", "latest")
    files.image("a/b", "new", "latest")
    files.image("c", "shared", "latest")
    found = registry.superseded(files.folders, NOW)
    assert len(found.manifests) == 1
    assert found.bytes == 0, "the same manifest and layers are in the other repository"


def test_an_index_is_kept_or_removed_with_its_platforms(files: Registry) -> None:
    amd64, arm64 = files.image("a", "amd64"), files.image("a", "arm64")
    index = files.index("a", amd64, arm64, tag="latest")
    assert gone(files) == set()
    other = files.image("a", "arm64 anew")
    files.index("a", amd64, other, tag="latest")
    assert gone(files) == {index, arm64}


def test_untagged_manifests_are_kept_for_a_week(files: Registry) -> None:
    files.image("a", "new", age=6 * DAY)
    old = files.image("a", "old", age=8 * DAY)
    assert gone(files) == {old}


def test_an_age_applies_to_superseded_manifests(files: Registry) -> None:
    old = files.image("a", "1", "latest", age=3 * DAY)
    files.image("a", "2", "latest", age=DAY)
    files.image("a", "3", "latest")
    assert gone(files, older=2 * DAY) == {old}


@pytest.mark.parametrize("text", ["[]", "{", '{"manifests": 1, "layers": [1], "config": []}'])
def test_an_invalid_manifest_names_nothing(files: Registry, text: str) -> None:
    files.push("a", text, "latest")
    assert gone(files) == set()


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


def running(address: str) -> EngineState:
    return EngineState("unstable", address, False, {})


def test_manifests_are_removed_through_the_api_and_layers_by_the_collector(
    files: Registry, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = files.image("a", "1", "latest")
    files.image("a", "2", "latest")
    ran: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        ran.append(command)
        (files.root / "blobs/sha256" / old[7:9] / old[7:] / "data").unlink()
        return Completed(command, 0, "", "")

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(credentials, "authorization", lambda _: "Basic x")
    found = registry.remove_superseded(files.folders, running(address), NOW)
    assert Handler.asked == [(f"/v2/a/manifests/{old}", "Basic x")]
    assert ran[0][1:] == ("garbage-collect", str(files.folders.home / "registry.yml"))
    assert found.manifests == (("a", old),)
    assert found.bytes > 0


def test_a_registry_that_refuses_or_does_not_answer_is_one_line(
    files: Registry, address: str
) -> None:
    files.image("a", "1", "latest")
    files.image("a", "2", "latest")
    Handler.status = 405
    with pytest.raises(CommandError, match=r"the registry does not remove /v2/a/manifests/.*: 405"):
        registry.remove_superseded(files.folders, running(address), NOW)
    with pytest.raises(CommandError, match=r"the registry on 127\.0\.0\.1:1 does not answer"):
        registry.remove_superseded(files.folders, running("127.0.0.1:1"), NOW)


def test_a_registry_without_files_holds_nothing() -> None:
    assert not registry.holds("127.0.0.1:1/x:y")


def test_an_image_is_looked_up_in_the_registrys_files() -> None:
    name = "127.0.0.1:1/apache/x:y"
    root = engine_folders().registry
    link = root / "repositories/apache/x/_manifests/tags/y/current/link"
    link.parent.mkdir(parents=True)
    link.write_text("sha256:abcd", encoding="utf-8")
    assert not registry.holds(name), "its manifest was collected"
    data = root / "blobs/sha256/ab/abcd/data"
    data.parent.mkdir(parents=True)
    data.write_text("{}", encoding="utf-8")
    assert registry.holds(name)
    assert registry.digest(name) == "sha256:abcd"
    assert not registry.holds("127.0.0.1:1/apache/x:other")
