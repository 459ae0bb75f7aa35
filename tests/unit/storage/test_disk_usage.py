from __future__ import annotations

from pathlib import Path

import pytest
from docker_socket import DockerApi

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.process import Completed
from build_tasks.storage import cache_records, disk_usage

RECORD = {"ID": "a", "Type": "regular", "Size": 7, "Shared": True, "InUse": False}
SAID = "ID: a\nSize: 1.5kB\nReclaimable: true\n"

USAGE = "/v1.44/system/df?type=build-cache"


def client(path: Path) -> Client:
    return Client(
        "docker", ("docker-buildx",), {"DOCKER_HOST": f"unix://{path}", "BUILDX_CONFIG": "/none"}
    )


def test_an_engines_own_builder_says_its_bytes_exactly(docker_api: DockerApi) -> None:
    docker_api.answers[USAGE] = (200, {"BuildCache": [RECORD]})
    (node,) = disk_usage.of_builder(client(docker_api.path), "default")
    assert (node.exact, cache_records.total(node.records)) == (True, 7)


@pytest.mark.parametrize("answer", [(404, {"message": "no"}), (200, {}), (200, "no JSON")])
def test_what_the_api_does_not_say_buildx_does(
    docker_api: DockerApi, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, object]
) -> None:
    docker_api.answers[USAGE] = answer
    monkeypatch.setattr(process, "run", lambda *_, **__: Completed(("x",), 0, SAID, ""))
    (node,) = disk_usage.of_builder(client(docker_api.path), "default")
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
