"""The digest, the labels and the layers of an image, in the engine or in a registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from build_tasks import paths
from build_tasks.buildx import docker, imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import MissingImage, RegistryError
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
    #: The configuration of its containers, and its layers as the registry has them, by digest; only
    #: of images that were read by digest.
    config: Mapping[str, Any] = field(default_factory=dict)
    blobs: tuple[str, ...] = ()


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


def by_digest(
    client: Client, reference: str, platform: Platform, builder: str, left: Callable[[], float]
) -> PlatformImage:
    """Return an image of a registry for a platform, all of which is read by digest.

    Its own digest is that of the manifest for the platform.

    Args:
        client: programs and environment.
        reference: the image, by its tag.
        platform: the platform.
        builder: the builder whose registry settings apply.
        left: returns the seconds that are left, and raises ImagesError if there are none.

    Raises:
        ImagesError: the registry does not have it for the platform, or not as a whole, or does not
            answer.
    """
    name = imagetools.name_of(reference)
    raw = imagetools.inspect(client, reference, builder, timeout=left())
    index = imagetools.parse_index(raw, reference)
    digest = index.digest
    if index.platforms:
        digests = dict(reversed(index.platforms))
        if platform.value not in digests:
            others = ", ".join(sorted(digests.keys()))
            raise MissingImage(f"{reference}: has no image for {platform}, only for {others}")
        digest = digests[platform.value]
        raw = imagetools.fetch(client, name, digest, builder, timeout=left())
    try:
        manifest = json.loads(raw)
        blobs = tuple(str(layer["digest"]) for layer in manifest["layers"])
        config_digest = str(manifest["config"]["digest"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RegistryError(f"{reference}: {digest} is not an image's manifest") from None
    config = paths.parse_json(
        imagetools.fetch(client, name, config_digest, builder, timeout=left())
    )
    if not _well_formed(config):
        raise RegistryError(f"{reference}: {config_digest} is not a configuration")
    image = _of_config(config, digest, blobs)
    actual = f"{config.get('os')}/{config.get('architecture')}"
    if actual != platform.value:
        raise MissingImage(f"{reference}: has no image for {platform}, only for {actual}")
    return image


def _well_formed(config: Mapping[str, Any]) -> bool:
    """Return whether the parts of a configuration that are read have the types of OCI's."""
    own, root = config.get("config"), config.get("rootfs")
    if not isinstance(own, dict) or not isinstance(root, dict):
        return False
    lists = (root.get("diff_ids"), own.get("Env"))
    tables = (own.get("Labels"), own.get("ExposedPorts"), own.get("Volumes"))
    labels = [*(own.get("Labels") or {}).values()] if isinstance(own.get("Labels"), dict) else []
    return (
        all(isinstance(each or [], list) for each in lists)
        and all(isinstance(each or {}, dict) for each in tables)
        and all(isinstance(text, str) for each in (*lists, labels) for text in each or ())
    )


def _of_config(
    config: Mapping[str, Any], digest: str, blobs: tuple[str, ...] = ()
) -> PlatformImage:
    """Return an image by its configuration; raise an exception if it has another form."""
    own = config.get("config") or {}
    layers = tuple((config.get("rootfs") or {}).get("diff_ids") or ())
    words = (word.partition("=") for word in own.get("Env") or ())
    variables = {variable: value for variable, _, value in words}
    return PlatformImage(
        digest, own.get("Labels") or {}, layers, variables, own if blobs else {}, blobs
    )


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
        images = {
            name: _of_config(config, digests.get(name, ""))
            for name, config in configs.items()
            if config
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ImageIndex()
    return ImageIndex(digest, images)
