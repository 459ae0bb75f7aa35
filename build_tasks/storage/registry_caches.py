"""The size of cache references in registries, computed from their manifests alone.

The manifest of a cache lists its blobs with their sizes, and BuildKit adds the time of each step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from build_tasks.buildx import imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError, MissingImage, RegistryError

#: The annotation of a layer with the time when its step ended.
_CREATED = "buildkit/createdat"
#: Concurrent queries: each is a process of about 50 ms of CPU time.
AT_ONCE = 8
_CONFIG = "application/vnd.buildkit.cacheconfig.v0"


@dataclass(frozen=True)
class Reference:
    """A cache in a registry.

    Args:
        blobs: the compressed sizes of its layers in bytes, by digest.
        newest: when its newest step ended; None where BuildKit did not record it.
    """

    name: str
    blobs: Mapping[str, int]
    newest: datetime | None = None

    @property
    def size(self) -> int:
        """The bytes of all layers; a layer that occurs twice is stored once."""
        return sum(self.blobs.values())


def read_all(
    client: Client, names: Sequence[str], builder: str
) -> Iterator[Reference | ImagesError | None]:
    """Yield what the registry has for each reference: a cache, None, or the error.

    The first reference is queried alone, since a registry that does not answer for one does not
    answer for any. The others are queried concurrently, until the caller stops reading. The
    registry settings are those of the builder.
    """

    def read(name: str) -> Reference | ImagesError | None:
        try:
            return parse(name, imagetools.inspect(client, name, builder))
        except MissingImage:
            return None
        except ImagesError as error:
            return error

    yield from map(read, names[:1])
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield from pool.map(read, names[1:])
    finally:
        pool.shutdown(cancel_futures=True)


def parse(name: str, raw: str) -> Reference:
    """Return the cache that a manifest describes; before version 0.21 BuildKit wrote an index.

    Raises:
        RegistryError: it is not the manifest of a cache.
    """
    try:
        manifest = json.loads(raw)
        entries = manifest.get("layers") or manifest.get("manifests") or []
        layers = [entry for entry in entries if entry["mediaType"] != _CONFIG]
        blobs = {str(layer["digest"]): int(layer["size"]) for layer in layers}
        times = [(layer.get("annotations") or {}).get(_CREATED) for layer in layers]
        newest = max(map(datetime.fromisoformat, filter(None, times)), default=None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RegistryError(f"{name}: is not a cache of BuildKit") from None
    return Reference(name, blobs, newest)


def distinct_size(references: Iterable[Reference]) -> int:
    """Return the bytes of references together, each layer counted once."""
    return sum({digest: n for item in references for digest, n in item.blobs.items()}.values())
