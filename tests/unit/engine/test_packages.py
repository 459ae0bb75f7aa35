from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from build_tasks.engine import apt, packages, processes
from build_tasks.engine.folders import Folders
from build_tasks.errors import EngineError
from build_tasks.process import Command, Completed


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b", "a\nb", 'a"b', "caf\udce9"])
def test_a_folder_name_that_an_engine_cannot_use_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", str(tmp_path / name))
    with pytest.raises(EngineError, match=r"the embedded engine cannot live in .*CACHE") as caught:
        packages.check_supported()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("uid", "missing", "message"),
    [
        (1000, "", "needs root: become root, or install Docker Engine"),
        (0, "dpkg", "needs Debian's apt and its keys: install Docker Engine"),
        (0, "ip", "needs the program ip: install iproute2"),
        (0, "", ""),
    ],
)
def test_an_unsupported_machine_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uid: int, missing: str, message: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(apt, "KEYRING", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else name)
    if not message:
        return packages.check_supported()
    with pytest.raises(EngineError, match=message):
        packages.check_supported()
    return None


def test_the_older_release_is_used_where_the_newer_does_not_run(
    monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    monkeypatch.setattr(packages, "unpack", lambda _, release, __: Path(release))
    monkeypatch.setattr(packages, "runs", lambda root: root == Path("trixie"))
    messages: list[str] = []
    assert packages.prepare(folders, messages.append) == ("trixie", Path("trixie"))
    assert messages == ["the engine of Debian unstable does not run on this machine"]
    monkeypatch.setattr(packages, "runs", lambda _: False)
    with pytest.raises(EngineError, match="no engine of Debian runs on this machine"):
        packages.prepare(folders, messages.append)


def test_the_environment_may_name_the_release(
    monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    monkeypatch.setattr(packages, "unpack", lambda _, release, __: Path(release))
    monkeypatch.setattr(packages, "runs", lambda _: True)
    monkeypatch.setenv(packages.RELEASE_VARIABLE, "trixie")
    assert packages.prepare(folders, print)[0] == "trixie"
    monkeypatch.setenv(packages.RELEASE_VARIABLE, "woody")
    with pytest.raises(EngineError, match="unknown release 'woody': choose unstable, trixie"):
        packages.prepare(folders, print)


def test_only_missing_packages_are_fetched_and_unpacked(
    monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    fetched: list[str] = []
    commands: list[Command] = []

    def download(folder: Path, names: Sequence[str]) -> list[Path]:
        (folder / "archives").mkdir(parents=True)
        fetched.extend(names)
        return [Path("a.deb")]

    def run(command: Command, _: Path) -> Completed:
        commands.append(command)
        for name in ("usr/bin", "usr/sbin"):
            (Path(command[-1]) / name).mkdir(parents=True, exist_ok=True)
        return Completed(command, 0, "", "")

    monkeypatch.setattr(apt, "codename", lambda: "bookworm")
    monkeypatch.setattr(apt, "mirror", lambda: "http://mirror/")
    monkeypatch.setattr(apt, "update", lambda *_: None)
    monkeypatch.setattr(apt, "download", download)
    monkeypatch.setattr(apt, "run", run)
    monkeypatch.setattr(processes, "_PROC", folders.home / "proc")
    root = packages.unpack(folders, "trixie", print)
    assert {"docker.io/trixie", "tini-static/unstable", "runc/bookworm"} <= {*fetched}
    assert commands == [("dpkg", "-x", "a.deb", str(root))]
    assert (root / "usr/sbin/iptables-save").readlink() == Path("iptables-nft-save")
    assert (root / "usr/bin/docker-init").readlink() == Path("tini-static")
    fetched.clear()
    assert packages.unpack(folders, "trixie", pytest.fail) == root
    packages.unpack(folders, "trixie", print, emulation=True)
    assert fetched == ["qemu-user-static/bookworm"]
    assert packages.any_unpacked(folders) == root


def test_an_engine_that_does_not_run_on_this_machine_is_recognised(
    programs: Callable[..., object], tmp_path: Path
) -> None:
    programs()
    assert packages.runs(tmp_path)
    programs(dockerd=(1, "", "GLIBC_2.99 not found"))
    assert not packages.runs(tmp_path)


def test_daemons_inherit_listed_variables_only(
    monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:1")
    monkeypatch.setenv("CI_JOB_TOKEN", "secret")
    variables = packages.daemon_environment(folders, Path("/packages"))
    assert variables["https_proxy"] == "http://proxy:1"
    assert "CI_JOB_TOKEN" not in variables
    assert variables["PATH"].startswith("/packages/usr/bin:")
    assert variables["HOME"] == variables[processes.MARKER] == str(folders.home)
