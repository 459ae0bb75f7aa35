"""The digest, the labels and the layers of an image, in the engine or in a registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from build_tasks.buildx import docker, imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import MissingImage
from build_tasks.model.matrix import Platform

#: Seconds for the engine to answer.
ANSWER = 10.0


@dataclass(frozen=True)
class PlatformImage:
    """An image for one platform."""

    digest: str  # its digest; that of its index if the index has a single platform
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Its layers, lowest first (`rootfs.diff_ids` of the configuration).
    layers: tuple[str, ...] = ()
    #: Its environment variables; not read from engines.
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageIndex:
    """An image in a registry, with the image for each platform; empty if there is none."""

    digest: str = ""
    images: Mapping[str, PlatformImage] = field(default_factory=dict)


def of_engine(client: Client, reference: str, platform: Platform) -> PlatformImage | None:
    """Return an image of the engine, None if it has no such image for the platform.

    Raises:
        EngineError: the engine does not answer.
    """
    facts = docker.image(client, reference, timeout=ANSWER)
    if facts is None or facts.get("Architecture") != platform.architecture:
        return None
    labels = (facts.get("Config") or {}).get("Labels") or {}
    layers = (facts.get("RootFS") or {}).get("Layers") or ()
    return PlatformImage(str(facts.get("Id", "")), labels, tuple(layers))


def of_registry(client: Client, reference: str, builder: str) -> ImageIndex:
    """Return an image of a registry, which has no platforms if the registry does not have it.

    The registry settings are those of the builder.

    Raises:
        ImagesError: the registry does not answer, or refuses.
    """
    try:
        return parse(imagetools.inspect(client, reference, builder, imagetools.JSON))
    except MissingImage:
        return ImageIndex()


def parse(text: str) -> ImageIndex:
    """Return an image as `imagetools inspect` describes it, empty if it has no configuration.

    The key `image` of that JSON is a configuration, or one for each platform.
    """
    try:
        document = json.loads(text)
        configs = document["image"]
        manifest = document.get("manifest") or {}
        digest = str(manifest.get("digest", ""))
        digests = {
            f"linux/{(entry.get('platform') or {}).get('architecture')}": str(entry["digest"])
            for entry in manifest.get("manifests") or ()
        }
        if "rootfs" in configs:
            name = f"linux/{configs.get('architecture')}"
            configs, digests = {name: configs}, {name: digest}
        images = {}
        for name, config in configs.items():
            own = config.get("config") or {}
            layers = tuple((config.get("rootfs") or {}).get("diff_ids") or ())
            words = (word.partition("=") for word in own.get("Env") or ())
            variables = {variable: value for variable, _, value in words}
            if config:
                images[name] = PlatformImage(
                    digests.get(name, ""), own.get("Labels") or {}, layers, variables
                )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ImageIndex()
    return ImageIndex(digest, images)
