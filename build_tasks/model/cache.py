"""The caches of a build, and the settings of caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from build_tasks.model.aliases import Pairs
from build_tasks.model.cache_backends import Backend


class CacheMode(StrEnum):
    """Where a build may take cached steps from."""

    REGISTRY = "registry"
    LOCAL = "local"
    DISABLED = "disabled"


class CacheImports(StrEnum):
    """Branches whose caches a build may read."""

    ALL = "all"
    MAIN = "main"
    NONE = "none"


class Compression(StrEnum):
    """How layers are compressed."""

    ZSTD = "zstd"
    GZIP = "gzip"

    @property
    def attributes(self) -> Pairs:
        """The attributes of an output or a cache export.

        Level 1 of zstd is the fastest and gives layers of the same size here. gzip is forced:
        whoever asks for it cannot read layers that exist in zstd already.
        """
        if self is Compression.ZSTD:
            return (("compression", "zstd"), ("compression-level", "1"))
        return (("compression", "gzip"), ("force-compression", "true"))


@dataclass(frozen=True)
class CachePlan:
    """The caches of one build.

    Args:
        imports: caches to read, in order.
        export: the cache to write, if any.
        enabled: use cached steps at all, also those of the builder.
        left_out: references that are not read, each with the reason.
    """

    imports: tuple[Backend, ...] = ()
    export: Backend | None = None
    enabled: bool = True
    left_out: Pairs = ()

    def without(self, reasons: Mapping[str, str]) -> CachePlan:
        """Return the plan without the imports that `reasons` names by reference."""
        kept = tuple(backend for backend in self.imports if backend.reference not in reasons)
        return replace(self, imports=kept, left_out=(*self.left_out, *reasons.items()))

    def options(self) -> tuple[str, ...]:
        """Return the options of `buildx build`."""
        options = [] if self.enabled else ["--no-cache"]
        for backend in self.imports:
            options += ["--cache-from", backend.value]
        if self.export:
            options += ["--cache-to", self.export.value]
        return tuple(options)
