from __future__ import annotations

from pathlib import Path

from build_tasks.engine.folders import Folders, buildx_plugin


def test_two_cache_folders_have_two_engines() -> None:
    first, second = Folders(Path("/a/engine")), Folders(Path("/b/engine"))
    assert first.bridge != second.bridge
    assert first.run != second.run
    assert len(first.bridge) <= 15
    assert len(str(first.socket)) < 60


def test_the_plugin_is_found_in_either_folder(tmp_path: Path) -> None:
    assert buildx_plugin(tmp_path) == tmp_path / "usr/libexec/docker/cli-plugins/docker-buildx"
    older = tmp_path / "usr/lib/docker/cli-plugins/docker-buildx"
    older.parent.mkdir(parents=True)
    older.touch()
    assert buildx_plugin(tmp_path) == older
