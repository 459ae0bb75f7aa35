"""What the engine, or a registry, has under a name: the digest, the labels and the layers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from build_tasks.buildx import docker, imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import MissingImage
from build_tasks.model.matrix import Platform

#: Seconds for an engine or a registry to answer; advice that comes later is not read.
ANSWER = 10.0


@dataclass(frozen=True)
class PlatformImage:
    """An image for one platform.

    Args:
        digest: what it is called where it is; of an index, if it is one of a single platform.
        labels: what it says of itself.
        layers: its layers, lowest first, as `rootfs.diff_ids` of its configuration has them.
    """

    digest: str
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageIndex:
    """An image with all of its platforms, as a registry has it under a name.

    Args:
        digest: what it is called there.
        images: the image of each platform, by the platform.
    """

    digest: str
    images: Mapping[str, PlatformImage]

    def of(self, platform: Platform) -> PlatformImage | None:
        """Return the image for a platform, None if it has none."""
        return self.images.get(platform.value)


def of_engine(client: Client, reference: str, platform: Platform) -> PlatformImage | None:
    """Return what an engine has under a name for a platform, None if it has no such image.

    Raises:
        ImagesError: the engine does not answer, or not in time.
    """
    facts = docker.image(client, reference, timeout=ANSWER)
    if facts is None or facts.get("Architecture") != platform.architecture:
        return None
    labels = (facts.get("Config") or {}).get("Labels") or {}
    layers = (facts.get("RootFS") or {}).get("Layers") or ()
    return PlatformImage(str(facts.get("Id", "")), labels, tuple(layers))


def of_registry(client: Client, reference: str, builder: str) -> ImageIndex | None:
    """Return what a registry has under a name, None if it has no such image.

    Args:
        client: the way to buildx.
        reference: the name.
        builder: the builder whose settings of registries count.

    Raises:
        ImagesError: the registry does not answer in time, or refuses.
    """
    try:
        return read(imagetools.inspect(client, reference, builder, imagetools.JSON))
    except MissingImage:
        return None


def read(text: str) -> ImageIndex | None:
    """Return what `imagetools inspect` says of an image, None if it says nothing of one.

    Args:
        text: its answer; `image` holds one configuration, or one for each of several platforms.
    """
    try:
        return _whole(_json(text))
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def _whole(facts: Mapping[str, Any]) -> ImageIndex | None:
    image = facts.get("image") or {}
    manifest = facts.get("manifest") or {}
    digest = str(manifest.get("digest", ""))
    if "rootfs" in image:
        return ImageIndex(digest, {f"linux/{image.get('architecture')}": _holding(digest, image)})
    digests = {
        f"linux/{(one.get('platform') or {}).get('architecture')}": str(one["digest"])
        for one in manifest.get("manifests") or ()
    }
    images = {name: _holding(digests.get(name, ""), one) for name, one in image.items() if one}
    return ImageIndex(digest, images) if images else None


def _holding(digest: str, config: Mapping[str, Any]) -> PlatformImage:
    labels = (config.get("config") or {}).get("Labels") or {}
    return PlatformImage(digest, labels, tuple((config.get("rootfs") or {}).get("diff_ids") or ()))


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
