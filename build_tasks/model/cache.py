"""Which caches a build reads, and which one it writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from build_tasks.model import cache_backends
from build_tasks.model.cache_backends import Backend


class CacheMode(StrEnum):
    """Where a build may take finished steps from."""

    REGISTRY = "registry"
    LOCAL = "local"
    DISABLED = "disabled"


class CacheImports(StrEnum):
    """Whose references a build may read."""

    ALL = "all"
    MAIN = "main"
    NONE = "none"


class Compression(StrEnum):
    """How layers are compressed."""

    ZSTD = "zstd"
    GZIP = "gzip"

    @property
    def attributes(self) -> tuple[tuple[str, str], ...]:
        """What BuildKit is told, for an image as for a cache.

        The first level of zstd costs nothing in size here and is the fastest. What is there in zstd
        already stays so unless it is forced; and who asks for gzip needs it.
        """
        if self is Compression.ZSTD:
            return (("compression", "zstd"), ("compression-level", "1"))
        return (("compression", "gzip"), ("force-compression", "true"))


@dataclass(frozen=True)
class CachePlan:
    """What is read and written outside of the builder, and whether its own cache counts.

    Args:
        imports: places that BuildKit may take finished steps from, in order.
        export: the one place to write to, if any.
        enabled: take finished steps from anywhere at all.
        left_out: references that are not read although they were to be, each with the reason.
    """

    imports: tuple[Backend, ...] = ()
    export: Backend | None = None
    enabled: bool = True
    left_out: tuple[tuple[str, str], ...] = ()

    def without(self, reasons: Mapping[str, str]) -> CachePlan:
        """Return the plan without some of its imports.

        Args:
            reasons: why a reference is left out, by reference.
        """
        kept = tuple(one for one in self.imports if one.reference not in reasons)
        return replace(self, imports=kept, left_out=(*self.left_out, *reasons.items()))

    def options(self) -> tuple[str, ...]:
        """Return the options of `buildx build` that say this."""
        options: list[str] = []
        if not self.enabled:
            options.append("--no-cache")
        for place in self.imports:
            options += ["--cache-from", place.value]
        if self.export:
            options += ["--cache-to", self.export.value]
        return tuple(options)


@dataclass(frozen=True)
class CachePolicy:
    """What the builds of one run may read and write, before each has its own references.

    Args:
        mode: where finished steps may come from.
        read: the branches whose references are read, in order.
        write: the branch whose reference is written; none if nothing is.
        sources: places to read instead, if a person named some.
        target: the place to write to instead, if a person named one.
        compression: how written layers are compressed.
    """

    mode: CacheMode = CacheMode.REGISTRY
    read: tuple[str, ...] = ()
    write: str = ""
    sources: tuple[Backend, ...] = ()
    target: Backend | None = None
    compression: Compression = Compression.ZSTD


def plan(
    policy: CachePolicy, reference: Callable[[str], str], words: Mapping[str, str]
) -> CachePlan:
    """Return the plan of one build.

    There is no pulling first and no decision whether to: a build always reads its references, and
    BuildKit fetches only the layers that it needs.

    Args:
        policy: what the run may read and write.
        reference: returns the build's own reference for a branch.
        words: what stands for each of backends.PLACEHOLDERS in this build.
    """
    imports: list[Backend] = []
    if policy.mode is CacheMode.REGISTRY:
        own = [cache_backends.registry(reference(branch)) for branch in policy.read]
        named = [place.for_build(words) for place in policy.sources]
        imports = list(dict.fromkeys(named or own))
    export = None
    if policy.write:
        place = policy.target.for_build(words) if policy.target else None
        export = place or cache_backends.registry(reference(policy.write))
    return CachePlan(
        imports=tuple(imports),
        export=export and export.for_export(policy.compression.attributes),
        enabled=policy.mode is not CacheMode.DISABLED,
    )
