"""What moved in base images, by what registries and builders say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import projects
import pytest

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.check import base_images, image_metadata
from build_tasks.check.base_images import BaseFinding, Change, Moved
from build_tasks.check.image_metadata import ImageIndex, PlatformImage
from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.errors import EngineError, MissingImage, NetworkError, UsageError
from build_tasks.inputs import base_lock
from build_tasks.inputs.base_lock import LockedBase
from build_tasks.model.matrix import Names
from build_tasks.plan import build_host
from build_tasks.plan.build_host import Base, BuildHost
from build_tasks.process import Command, Completed

OLD, NEW, AMD, ARM = (f"sha256:{digit * 64}" for digit in "1234")
REFERENCE = "python:3.11"
STATUS = """\
Package: bash
Status: install ok installed
Version: 5.2-1

Package: openssl
Version: {version}

Package: removed
Status: deinstall ok config-files
Version: {version}
Config-Version: {version}
"""


def index(digest: str, version: str = "3.11.1", **platforms: str) -> ImageIndex:
    images = {
        f"linux/{name}": PlatformImage(text, variables={"PYTHON_VERSION": version})
        for name, text in platforms.items()
    }
    return ImageIndex(digest, images)


class Registry:
    """Registries that have some images, and a builder that reads their packages."""

    def __init__(self) -> None:
        self.images = dict[str, ImageIndex | Exception]()
        self.packages = dict[str, str]()
        self.commands: list[Command] = []

    def of_registry(self, _: Client, reference: str, builder: str) -> ImageIndex:
        assert builder == "default"
        found = self.images.get(reference, ImageIndex())
        if isinstance(found, Exception):
            raise found
        return found

    def run(self, command: Command, *, input: str, **_: Any) -> Completed:
        self.commands.append(command)
        assert input.startswith("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}")
        (reference,) = (
            word.partition("=")[2] for word in command if word.startswith("BASE_IMAGE=")
        )
        if reference not in self.packages:
            return Completed(command, 1, "", f"ERROR: {reference}: not found")
        (folder,) = (word.partition("dest=")[2] for word in command if "dest=" in word)
        Path(folder, "status").write_text(STATUS.format(version=self.packages[reference]))
        Path(folder, "status-old").write_text(STATUS.format(version="0"))
        return Completed(command, 0, "", "")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    registry = Registry()
    monkeypatch.setattr(image_metadata, "of_registry", registry.of_registry)
    monkeypatch.setattr(process, "run", registry.run)
    bases = {"3.11": Base(REFERENCE), "3.12": Base("", EngineError("no base"))}
    monkeypatch.setattr(
        build_host,
        "base_images",
        lambda _, pythons, *__, **___: {python: bases[python] for python in pythons},
    )
    return registry


@pytest.fixture
def host(tmp_path: Path) -> BuildHost:
    loaded = loading.load({"platform": "amd64"})
    settings = Settings(loaded.values, loaded.origins, projects.at(tmp_path))
    return BuildHost(Client("docker", ("buildx",), {}), settings, Names("r", "a", "main"))


def lock(host: BuildHost, digest: str = OLD, **platforms: str) -> None:
    named = {f"linux/{name}": text for name, text in platforms.items()}
    base = LockedBase(REFERENCE, digest, named)
    base_lock.write(host.settings.project.root, {"3.11": base})


def check(host: BuildHost, *pythons: str) -> list[BaseFinding]:
    return base_images.check(host, pythons or ("3.11",), pytest.fail)


def test_a_base_that_did_not_move_is_as_locked(registry: Registry, host: BuildHost) -> None:
    lock(host, amd64=AMD)
    registry.images[REFERENCE] = index(OLD, amd64=AMD)
    (finding,) = check(host)
    assert finding.current
    assert finding.lines == [f"3.11: as locked: {REFERENCE}@{OLD}"]
    assert registry.commands == []


def test_what_moved_is_named_by_package_and_variable(registry: Registry, host: BuildHost) -> None:
    lock(host, amd64=AMD, arm64=ARM)
    registry.images |= {
        REFERENCE: index(NEW, "3.11.2", amd64=NEW, arm64=ARM),
        f"{REFERENCE}@{OLD}": index(OLD, "3.11.1", amd64=AMD),
        f"{REFERENCE}@{NEW}": index(NEW, "3.11.2", amd64=NEW),
    }
    registry.packages = {f"{REFERENCE}@{OLD}": "3.0-1", f"{REFERENCE}@{NEW}": "3.0-2"}
    (finding,) = check(host)
    changes = (Change("PYTHON_VERSION", "3.11.1", "3.11.2"), Change("openssl", "3.0-1", "3.0-2"))
    assert finding.platforms == (Moved("linux/amd64", AMD, NEW, changes),)
    assert finding.lines == [
        f"3.11: moved: {REFERENCE}@{OLD} -> {REFERENCE}@{NEW}",
        "  linux/amd64: PYTHON_VERSION 3.11.1 -> 3.11.2",
        "  linux/amd64: openssl 3.0-1 -> 3.0-2",
    ]
    assert finding.data["platforms"][0]["changes"][1]["now"] == "3.0-2"
    assert not finding.data["current"]
    for command in registry.commands:
        assert command[:2] == ("buildx", "build")
        assert command[4:6] == ("--platform", "linux/amd64")
        assert command[-1] == "-"


def test_packages_and_platforms_come_and_go() -> None:
    changes = (Change("a", "", "1"), Change("b", "2", ""))
    moved = (
        Moved("linux/amd64", AMD, NEW, changes),
        Moved("linux/amd64", AMD, NEW),
        Moved("linux/arm64", "", ARM),
        Moved("linux/arm64", ARM, ""),
    )
    assert BaseFinding("3.11", "a", "b", moved).lines[1:] == [
        "  linux/amd64: new: a 1",
        "  linux/amd64: gone: b",
        f"  linux/amd64: {AMD} -> {NEW}",
        f"  linux/arm64: new: {ARM}",
        "  linux/arm64: gone",
    ]
    assert BaseFinding("3.11", "a", "b").lines[1:] == ["  only the index: its images are the same"]


def test_a_locked_image_that_is_gone_hides_what_changed(
    registry: Registry, host: BuildHost
) -> None:
    lock(host, amd64=AMD)
    registry.images[REFERENCE] = index(NEW, amd64=NEW)
    (finding,) = check(host)
    assert finding.lines[1] == (
        f"  linux/amd64: what changed is unknown: the registry no longer has {REFERENCE}@{OLD}"
    )
    registry.images[f"{REFERENCE}@{OLD}"] = index(OLD, amd64=AMD)
    (finding,) = check(host)
    assert finding.lines[1].endswith(f"what changed is unknown: {REFERENCE}@{OLD}: not found")


def test_what_is_not_locked_or_not_known_is_said(registry: Registry, host: BuildHost) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        check(host)
    other = LockedBase("python:3.9", OLD, {"linux/amd64": AMD})
    base_lock.write(host.settings.project.root, {"3.9": other})
    registry.images[REFERENCE] = index(NEW, amd64=NEW)
    assert [one.lines for one in check(host, "3.11", "3.12")] == [
        [f"3.11: not locked: {REFERENCE}@{NEW}"],
        ["3.12: unknown: no base"],
    ]
    registry.images[REFERENCE] = NetworkError("no answer")
    lock(host, amd64=AMD)
    (finding,) = check(host)
    assert finding.lines == ["3.11: unknown: no answer"]
    assert not finding.current


def test_what_the_registry_has_is_locked_and_the_rest_stays(
    registry: Registry, host: BuildHost
) -> None:
    lock(host, amd64=AMD)
    root, said = host.settings.project.root, list[str]()
    kept = LockedBase("python:3.12", OLD, {"linux/amd64": AMD})
    base_lock.write(root, {**base_lock.read(root), "3.12": kept, "3.8": kept})
    registry.images[REFERENCE] = index(NEW, amd64=NEW, arm64=ARM, riscv64=OLD)
    fresh, errors = base_images.update(host, ["3.11", "3.12"], said.append)
    assert [str(error) for error in errors] == ["no base"]
    platforms = {"linux/amd64": NEW, "linux/arm64": ARM}
    assert fresh == {"3.11": LockedBase(REFERENCE, NEW, platforms)}
    assert base_lock.read(root) == {**fresh, "3.12": kept}
    assert said == [f"wrote {root / 'base.lock'}"]


def test_an_image_for_other_platforms_is_not_locked(registry: Registry, host: BuildHost) -> None:
    for found, others in ((ImageIndex(), ""), (index(NEW, s390x=NEW), ", only linux/s390x")):
        registry.images[REFERENCE] = found
        fresh, (error,) = base_images.update(host, ["3.11"], pytest.fail)
        assert not fresh
        assert isinstance(error, MissingImage)
        assert str(error) == f"{REFERENCE}: not found for linux/amd64, linux/arm64{others}"
    assert not (host.settings.project.root / base_lock.FILE).exists()
