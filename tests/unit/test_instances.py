from __future__ import annotations

import json
from pathlib import Path

from build_tasks import instances
from build_tasks.client import Client

TWO = {
    "Name": "two",
    "Driver": "remote",
    "Nodes": [{"Name": "n1", "Endpoint": "tcp://a:1"}, {"Name": "n2", "Endpoint": "tcp://b:1"}],
}


def client(folder: Path) -> Client:
    (folder / "instances").mkdir(exist_ok=True)
    (folder / "instances" / "two").write_text(json.dumps(TWO))
    return Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": str(folder)})


def test_a_builder_is_known_by_what_buildx_wrote_down(tmp_path: Path) -> None:
    here = client(tmp_path)
    one = instances.find(here, "two")
    assert (one.driver, one.nodes, one.pushes_by_digest) == ("remote", ("n1", "n2"), True)
    assert instances.names(here) == ["two"]


def test_what_is_not_written_down_is_an_engines_own(tmp_path: Path) -> None:
    here = client(tmp_path)
    for name in ("default", "broken"):
        (tmp_path / "instances" / "broken").write_text("{}")
        one = instances.find(here, name)
        assert (one.driver, one.nodes, one.pushes_by_digest) == ("docker", (name,), False)
    assert instances.alone(here, one, "default", tmp_path / "x") is here


def test_a_node_can_be_asked_alone(tmp_path: Path) -> None:
    here = client(tmp_path)
    folder = tmp_path / "alone"
    one = instances.alone(here, instances.find(here, "two"), "n2", folder)
    assert one.environment == {"BUILDX_CONFIG": str(folder)}
    found = instances.find(one, "two")
    assert found.nodes == ("n2",)
    assert found.written["Nodes"] == [TWO["Nodes"][1]]
    assert instances.find(here, "two").nodes == ("n1", "n2")
