"""What cache references cost in a registry, from their manifests alone.

A cache's manifest lists all its blobs with their sizes, and BuildKit notes there when each was
made: no blob has to be fetched, and buildx itself asks, with the user's credentials.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from build_tasks.buildx import imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError, MissingImage, RegistryError

#: The annotation of a layer with the time when its step ended.
_CREATED = "buildkit/createdat"
#: References that are asked for at once: each is a process of about 50 ms of CPU.
AT_ONCE = 8
_CONFIG = "application/vnd.buildkit.cacheconfig.v0"


@dataclass(frozen=True)
class Reference:
    """A cache reference that is there.

    Args:
        name: the reference.
        blobs: the sizes of its layers in bytes, compressed as they are, by digest.
        newest: when its newest step ended; None where BuildKit did not note it.
    """

    name: str
    blobs: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    newest: datetime | None = None

    @property
    def size(self) -> int:
        """The bytes of all layers; one that is there twice is stored once."""
        return sum(self.blobs.values())


def ask(client: Client, name: str, builder: str) -> Reference | None:
    """Return what a reference holds, None if the registry does not have it.

    Args:
        client: the way to buildx.
        name: the reference.
        builder: the builder whose settings of registries count.

    Raises:
        ImagesError: the registry does not answer, or refuses.
    """
    try:
        return read(name, imagetools.inspect(client, name, builder))
    except MissingImage:
        return None


def ask_all(
    client: Client, names: Sequence[str], builder: str
) -> Iterator[Reference | ImagesError | None]:
    """Yield the answer for each reference, in order: what it holds, None, or why nobody knows.

    The first is asked for alone, because a registry that is silent is so for all of them; the
    others are asked for at the same time, until whoever reads the answers has heard enough.

    Args:
        client: the way to buildx.
        names: the references.
        builder: the builder whose settings of registries count.
    """

    def answer(name: str) -> Reference | ImagesError | None:
        try:
            return ask(client, name, builder)
        except ImagesError as error:
            return error

    yield from map(answer, names[:1])
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield from pool.map(answer, names[1:])
    finally:
        pool.shutdown(cancel_futures=True)


def read(name: str, raw: str) -> Reference:
    """Return what a cache's manifest says, in either of its forms.

    Args:
        name: the reference.
        raw: an image manifest, or the index that BuildKit wrote before version 0.21.

    Raises:
        RegistryError: it is no manifest of a cache.
    """
    try:
        manifest = json.loads(raw)
        entries = manifest.get("layers") or manifest.get("manifests") or []
        layers = [one for one in entries if one["mediaType"] != _CONFIG]
        blobs = {str(one["digest"]): int(one["size"]) for one in layers}
        times = [_time(one) for one in layers]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RegistryError(f"{name}: is no cache that BuildKit wrote") from None
    return Reference(name, MappingProxyType(blobs), max(filter(None, times), default=None))


def distinct(references: Iterable[Reference]) -> int:
    """Return the bytes of some references together, each blob counted once."""
    return sum({digest: n for one in references for digest, n in one.blobs.items()}.values())


def _time(layer: Mapping[str, Any]) -> datetime | None:
    text = (layer.get("annotations") or {}).get(_CREATED)
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text)) if text else None
