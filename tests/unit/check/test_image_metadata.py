"""Descriptions of images, as engines and registries return them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from build_tasks.buildx.toolchain import Client
from build_tasks.check import image_metadata
from build_tasks.check.image_metadata import PlatformImage
from build_tasks.model.matrix import Platform

CLIENT = Client("docker", ("buildx",), {})


def config(architecture: str = "amd64", **labels: str) -> dict[str, Any]:
    return {
        "architecture": architecture,
        "config": {"Labels": labels},
        "rootfs": {"diff_ids": ["1", architecture]},
    }


def test_an_image_of_one_platform() -> None:
    text = json.dumps({"manifest": {"digest": "sha256:i"}, "image": config(a="1")})
    index = image_metadata.parse(text)
    assert index.images.get(Platform.AMD64) == PlatformImage("sha256:i", {"a": "1"}, ("1", "amd64"))
    assert index.images.get(Platform.ARM64) is None
    assert (index.digest, [*index.images]) == ("sha256:i", ["linux/amd64"])


def test_an_image_of_several_platforms() -> None:
    platforms = [
        {"digest": f"sha256:{name}", "platform": {"architecture": name}}
        for name in ("unknown", "amd64", "arm64")
    ]
    images = {f"linux/{name}": config(name) for name in ("amd64", "arm64")}
    text = json.dumps({"manifest": {"digest": "x", "manifests": platforms}, "image": images})
    index = image_metadata.parse(text)
    assert index.images.get(Platform.ARM64) == PlatformImage("sha256:arm64", {}, ("1", "arm64"))
    assert (index.digest, [*index.images]) == ("x", ["linux/amd64", "linux/arm64"])


def test_an_image_has_its_variables_also_without_a_value() -> None:
    made = config()
    made["config"]["Env"] = ["A=1=2", "B=", "C"]
    index = image_metadata.parse(json.dumps({"image": made}))
    assert index.images[Platform.AMD64].variables == {"A": "1=2", "B": "", "C": ""}


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "nonsense", '{"image": {}}', "[" * 100_000, '{"image": [1]}'),
        *('{"image": {"linux/amd64": 7}}', '{"image": {"rootfs": 1}, "manifest": []}'),
        '{"image": {"linux/amd64": {}}, "manifest": {"manifests": [{}]}}',
    ],
)
def test_a_description_without_a_configuration_has_no_image(text: str) -> None:
    assert not image_metadata.parse(text).images
