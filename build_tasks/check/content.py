"""Whether an image has the layers and the configuration that a build of a branch gave it.

An image's label is what whoever pushed the image wrote. The cache of a branch is what its trusted
builds wrote, and what every build of the branch takes its steps from. So an image is taken only if
its layers are a chain of that cache, and if its configuration is what the Dockerfile makes of the
base image's.

The configuration of a cache (media type `application/vnd.buildkit.cacheconfig.v0`) lists its layers
with their parents; the manifest has the digests of their content as annotations.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from build_tasks import paths
from build_tasks.check.image_metadata import PlatformImage
from build_tasks.errors import RegistryError
from build_tasks.inputs.dockerfile.inputs import Outcome
from build_tasks.text.formatting import listed

#: The annotation of a cache's layer with the digest of its content (`diff_id` of an image).
_CONTENT = "containerd.io/uncompressed"
#: Labels that say when and from which commit an image was made, and what they may look like.
OWN_LABELS: Mapping[str, str] = {
    "org.apache.airflow.main-image.build-id": r"[\w.:/-]{1,100}",
    "org.apache.airflow.main-image.commit-sha": "[0-9a-f]{40}|[0-9a-f]{64}",
    "org.opencontainers.image.base.digest": "sha256:[0-9a-f]{64}",
    "org.opencontainers.image.created": r"[0-9T:Z+.-]{1,40}",
    "org.opencontainers.image.revision": "[0-9a-f]{40}|[0-9a-f]{64}",
}
#: Arguments of the build with the value of one of these labels.
LATE_LABELS: Mapping[str, str] = {
    "BUILD_ID": "org.apache.airflow.main-image.build-id",
    "COMMIT_SHA": "org.apache.airflow.main-image.commit-sha",
}
#: Keys of a configuration that say nothing of what it runs: the last one is for Windows.
_IGNORED = frozenset(("Labels", "Env", "ArgsEscaped"))


@dataclass(frozen=True)
class CacheLayers:
    """The layers of a cache: pairs of a digest and the position of the parent, -1 for none."""

    chain: tuple[tuple[str, int], ...] = ()
    #: The digest of the content of each layer, by its own digest.
    content: Mapping[str, str] | None = None


def config_digest(manifest: str, reference: str) -> str:
    """Return the digest of a cache's configuration.

    Raises:
        RegistryError: the manifest is not that of a cache.
    """
    config = paths.parse_json(manifest).get("config")
    digest = config.get("digest") if isinstance(config, dict) else None
    if not isinstance(digest, str):
        raise RegistryError(f"{reference}: is not a cache of BuildKit")
    return digest


def cache_layers(manifest: str, config: str, reference: str) -> CacheLayers:
    """Return the layers of a cache.

    Raises:
        RegistryError: the texts are not those of a cache.
    """
    try:
        entries = json.loads(config)["layers"]
        # Go leaves a zero out.
        chain = tuple((str(one["blob"]), int(one.get("parent", 0))) for one in entries)
        content = {
            str(layer["digest"]): str((layer.get("annotations") or {}).get(_CONTENT, ""))
            for layer in json.loads(manifest)["layers"]
        }
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise RegistryError(f"{reference}: is not a cache of BuildKit") from None
    return CacheLayers(chain, content)


def layer_problem(
    image: PlatformImage, base: PlatformImage, cache: CacheLayers, linked: Sequence[bool]
) -> str:
    """Return why an image's layers are not those of a cache; empty if they are.

    `linked` says of each layer on top of the base whether it was copied with `--link`. Of such a
    layer, BuildKit may keep only a copy that stands on nothing.
    """
    if len(image.blobs) != len(image.layers) or len(image.layers) != len(base.layers) + len(linked):
        made = f"{len(base.layers)} of the base and {len(linked)} of the Dockerfile"
        return f"it has {len(image.blobs)} layers, not {made}"
    parents = {-1}
    free = (*(False for _ in base.layers), *linked)
    for blob, content, is_free in zip(image.blobs, image.layers, free, strict=True):
        parents = {
            number
            for number, (digest, parent) in enumerate(cache.chain)
            if digest == blob and (parent in parents or (is_free and parent == -1))
        }
        if not parents or (cache.content or {}).get(blob) != content:
            return f"its layer {blob[:19]} is not in the cache"
    return ""


def config_problem(
    image: PlatformImage, base: PlatformImage, made: Outcome, labels: Mapping[str, str]
) -> str:
    """Return what in an image's configuration its Dockerfile does not make; empty if nothing.

    Args:
        image: the image, read by digest.
        base: its base image, read by digest.
        made: what the Dockerfile makes of the base image, with the image's own late arguments.
        labels: the labels that the build sets.
    """
    if "HEALTHCHECK" in made.configuration or base.config.get("OnBuild"):
        return "its configuration cannot be compared (HEALTHCHECK or ONBUILD)"
    expected = made.configure(base.config)
    keys = (image.config.keys() | expected.keys()) - _IGNORED
    different = [
        key
        for key in sorted(keys)
        if (image.config.get(key) or None) != (expected.get(key) or None)
    ]
    if image.variables != dict(made.environment) or len(image.variables) != len(
        image.config.get("Env") or ()
    ):
        different.append("Env")
    wanted = {**(base.config.get("Labels") or {}), **_labels(made), **labels}
    if not _same_labels(image.labels, wanted):
        different.append("Labels")
    return f"its configuration is not the Dockerfile's: {listed(different)}" if different else ""


def late_arguments(image: PlatformImage) -> dict[str, str]:
    """Return the arguments that change with every build, as an image's labels have them."""
    texts = {name: image.labels.get(label, "") for name, label in LATE_LABELS.items()}
    return {name: text for name, text in texts.items() if text}


def folder(base: PlatformImage) -> str:
    """Return the working directory of a base image."""
    return posixpath.join("/", str(base.config.get("WorkingDir") or "/"))


def _labels(made: Outcome) -> Mapping[str, str]:
    labels = made.configuration.get("LABEL")
    return labels if isinstance(labels, dict) else {}


def _same_labels(actual: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether labels are equal, apart from those that each build has its own of."""
    own = {name: text for name, text in actual.items() if name in OWN_LABELS}
    if not all(re.fullmatch(OWN_LABELS[name], str(text)) for name, text in own.items()):
        return False
    pairs = (
        {name: text for name, text in labels.items() if name not in OWN_LABELS}
        for labels in (actual, wanted)
    )
    return next(pairs) == next(pairs)
