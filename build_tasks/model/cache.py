"""Which caches a build reads, and which one it writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from build_tasks.model import cache_backends
from build_tasks.model.cache_backends import Backend
from build_tasks.model.types import Pairs


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


@dataclass(frozen=True)
class CachePolicy:
    """What all builds of one run may read and write.

    Args:
        mode: where cached steps may come from.
        read: branches whose caches are read, in order.
        write: the branch whose cache is written; empty for none.
        sources: caches to read instead of those of the branches.
        target: the cache to write instead of that of the branch.
        compression: how written layers are compressed.
    """

    mode: CacheMode = CacheMode.REGISTRY
    read: tuple[str, ...] = ()
    write: str = ""
    sources: tuple[Backend, ...] = ()
    target: Backend | None = None
    compression: Compression = Compression.ZSTD


def plan(
    policy: CachePolicy, reference: Callable[[str], str], placeholders: Mapping[str, str]
) -> CachePlan:
    """Return the caches of one build.

    A build always reads its caches: BuildKit fetches only the layers that it needs.

    Args:
        policy: what the run may read and write.
        reference: returns the build's cache reference of a branch.
        placeholders: the build's values for cache_backends.PLACEHOLDERS.
    """
    imports: tuple[Backend, ...] = ()
    if policy.mode is CacheMode.REGISTRY:
        sources = [source.for_build(placeholders) for source in policy.sources]
        branches = [cache_backends.registry(reference(branch)) for branch in policy.read]
        imports = tuple(dict.fromkeys(sources or branches))
    export = None
    if policy.write:
        target = policy.target or cache_backends.registry(reference(policy.write))
        export = target.for_build(placeholders).for_export(policy.compression.attributes)
    return CachePlan(imports, export, enabled=policy.mode is not CacheMode.DISABLED)
