"""Unchanged images get new tags, and everything else is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import specs

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.check import image_metadata, skip_unchanged
from build_tasks.check.image_metadata import ImageIndex, PlatformImage
from build_tasks.errors import ImagesError, NetworkError
from build_tasks.inputs import dockerfile, fingerprint
from build_tasks.inputs.fingerprint import LABEL
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed

CLIENT = Client("docker", ("docker-buildx",), {})
NOW = fingerprint.gather(dockerfile.parse("FROM b:2\nRUN x\n"), {"BASE_IMAGE": "b:2"}, {})
SPEC = specs.make(image="r/i", tags=("r/i:v2",), content=NOW, arguments=(("BASE_IMAGE", "b:2"),))
ARM64 = specs.change(SPEC, platform=Platform.ARM64)


def index(*platforms: str, layers: tuple[str, ...] = ("1", "2"), label: str = "") -> ImageIndex:
    label = label or NOW.fingerprint
    images = {
        f"linux/{name}": PlatformImage(f"sha256:{name}", {LABEL: label}, layers)
        for name in platforms
    }
    return ImageIndex("sha256:index", images)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, ImageIndex]:
    """A registry that has the base image."""
    images = {"b:2": index("amd64", "arm64", layers=("1",))}

    def of_registry(_: Client, reference: str, builder: str) -> ImageIndex:
        if reference == "silent":
            raise NetworkError("no answer")
        return images.get(reference, ImageIndex())

    monkeypatch.setattr(image_metadata, "of_registry", of_registry)
    return images


@pytest.mark.parametrize("reference", ["r/i:v2", "r/i:latest"])
def test_the_requested_and_the_default_tag_are_looked_up(
    registry: dict[str, ImageIndex], reference: str
) -> None:
    registry[reference] = index("amd64")
    assert skip_unchanged.unchanged(CLIENT, [SPEC]) == "sha256:amd64"


@pytest.mark.parametrize(
    ("found", "digest"),
    [
        (index("amd64", "arm64"), "sha256:index"),
        (index("amd64"), ""),
        (index("amd64", "arm64", "riscv64"), ""),
    ],
)
def test_an_image_of_several_platforms_has_exactly_these(
    registry: dict[str, ImageIndex], found: ImageIndex, digest: str
) -> None:
    registry["r/i:v2"] = found
    assert skip_unchanged.unchanged(CLIENT, [SPEC, ARM64]) == digest


@pytest.mark.parametrize(
    "changes",
    [
        {"r/i:v2": index("amd64", label="2 another")},
        {"r/i:v2": index("amd64", layers=("9",))},
        {"r/i:v2": index("arm64")},
        {"r/i:v2": index("amd64"), "b:2": ImageIndex()},
        {"r/i:v2": index("amd64"), "b:2": index("arm64", layers=("1",))},
        {},
    ],
)
def test_anything_else_is_built(
    registry: dict[str, ImageIndex], changes: Mapping[str, ImageIndex]
) -> None:
    registry |= changes
    assert skip_unchanged.tag_unchanged(CLIENT, [SPEC]) == ""


def test_a_registry_that_does_not_answer_has_no_image(registry: dict[str, ImageIndex]) -> None:
    registry["r/i:latest"] = index("amd64")
    spec = specs.change(SPEC, tags=("silent",))
    assert skip_unchanged.unchanged(CLIENT, [spec]) == "sha256:amd64"


@pytest.mark.parametrize("code", [0, 1])
def test_an_unchanged_image_gets_the_tags(
    registry: dict[str, ImageIndex], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    registry["r/i:v2"] = index("amd64")
    commands: list[Command] = []

    def run(command: Command, **_: Any) -> Completed:
        commands.append(command)
        return Completed(command, code, "", "ERROR: denied" if code else "")

    monkeypatch.setattr(process, "run", run)
    if code:
        with pytest.raises(ImagesError, match=r"ci-3.11-amd64: sha256:amd64 cannot be tagged: "):
            skip_unchanged.tag_unchanged(CLIENT, [SPEC])
    else:
        assert skip_unchanged.tag_unchanged(CLIENT, [SPEC]) == "sha256:amd64"
    assert commands[0][-3:] == ("--tag", "r/i:v2", "r/i@sha256:amd64")
