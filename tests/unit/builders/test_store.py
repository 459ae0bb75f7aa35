from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from build_tasks.builders import store
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import DiskError, EngineError
from build_tasks.model.builder import Builder, Node


def test_what_buildx_wrote_down_is_read(tmp_path: Path) -> None:
    (tmp_path / "instances").mkdir()
    node = {
        "Name": "farm0",
        "Endpoint": "tcp://x:1",
        "Platforms": [
            {"architecture": "arm64", "os": "linux"},
            {"architecture": "arm", "os": "linux", "variant": "v7"},
        ],
        "DriverOpts": {"b": "2", "a": "1"},
        "Files": {"buildkitd.toml": "Z2MgPSB0cnVlCg=="},
    }
    bare = {"Name": "x", "Endpoint": "e", "Platforms": None, "DriverOpts": None, "Files": None}
    text = json.dumps({"Name": "farm", "Driver": "remote", "Nodes": [node, bare]})
    (tmp_path / "instances" / "farm").write_text(text)
    assert store.names(tmp_path) == ["farm"]
    assert store.read(tmp_path, "farm") == Builder(
        "farm",
        "remote",
        (
            Node(
                "farm0",
                "tcp://x:1",
                ("linux/arm64", "linux/arm/v7"),
                (("a", "1"), ("b", "2")),
                (("buildkitd.toml", "gc = true\n"),),
            ),
            Node("x", "e", (), (), ()),
        ),
    )
    assert store.read(tmp_path, "other") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Driver": "x", "Nodes": [3]}', "[" * 100_000])
def test_what_buildx_did_not_write_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "instances").mkdir()
    (tmp_path / "instances" / "farm").write_text(text)
    with pytest.raises(EngineError, match="instances/farm: not a builder that buildx wrote"):
        store.read(tmp_path, "farm")
    (tmp_path / "instances" / "farm").unlink()
    (tmp_path / "instances" / "farm").mkdir()
    with pytest.raises(DiskError, match="instances/farm: cannot be read: Is a directory"):
        store.read(tmp_path, "farm")


def test_an_isolated_client_knows_one_builder_and_its_docker_context(tmp_path: Path) -> None:
    """`buildx ls` would wait for every other builder and context, too."""
    config, folder = tmp_path / "docker", tmp_path / "buildx"
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("arm", "other")}
    for key in keys.values():
        (config / "contexts" / "meta" / key).mkdir(parents=True)
        (config / "contexts" / "meta" / key / "meta.json").write_text(key)
        (config / "contexts" / "tls" / key).mkdir(parents=True)
    (config / "ca.pem").write_text("trusted")
    (folder / "instances").mkdir(parents=True)
    entries = [{"Name": "a", "Endpoint": "arm"}, {"Name": "b", "Endpoint": "tcp://x:1"}]
    for name in ("farm", "hung"):
        text = json.dumps({"Driver": "docker-container", "Nodes": entries})
        (folder / "instances" / name).write_text(text)
    variables = {"BUILDX_CONFIG": str(folder), "DOCKER_CONFIG": str(config)}
    client = Client("docker", ("docker-buildx",), variables)
    with store.isolated(client, "farm") as only:
        isolated = Path(only.environment["DOCKER_CONFIG"])
        assert store.names(Path(only.environment["BUILDX_CONFIG"])) == ["farm"]
        assert (isolated / "ca.pem").read_text() == "trusted"
        (meta,) = (isolated / "contexts" / "meta").iterdir()
        assert meta.is_dir()
        assert not meta.is_symlink()
        assert (meta / "meta.json").read_text() == keys["arm"]
        assert (isolated / "contexts" / "tls" / keys["arm"]).is_dir()
    assert not isolated.exists()
    assert (config / "ca.pem").exists()
    with store.isolated(client, "farm", "b") as only:
        stored = store.of(only, "farm")
        assert stored
        assert [node.name for node in stored.nodes] == ["b"]
        assert not (Path(only.environment["DOCKER_CONFIG"]) / "contexts").exists()
