"""Which cache a build reads, and which it writes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: `max` keeps the segments that are not in the image; a failed export must not take a pushed
#: image's digest with it; and the last two give a manifest that every registry accepts.
EXPORT_ATTRIBUTES = "mode=max,ignore-error=true,image-manifest=true,oci-mediatypes=true"


class CacheMode(StrEnum):
    """Where a build may take finished steps from."""

    REGISTRY = "registry"
    LOCAL = "local"
    DISABLED = "disabled"


@dataclass(frozen=True)
class CachePlan:
    """What is read and written in the registry, and whether the builder's own cache counts.

    Args:
        imports: references that BuildKit may take finished steps from, in order.
        export: the one reference to write to, if any.
        enabled: take finished steps from anywhere at all.
    """

    imports: tuple[str, ...] = ()
    export: str | None = None
    enabled: bool = True

    def options(self) -> tuple[str, ...]:
        """Return the options of `buildx build` that say this."""
        options: list[str] = []
        if not self.enabled:
            options.append("--no-cache")
        for reference in self.imports:
            options += ["--cache-from", f"type=registry,ref={reference}"]
        if self.export:
            options += ["--cache-to", f"type=registry,ref={self.export},{EXPORT_ATTRIBUTES}"]
        return tuple(options)


def plan(mode: CacheMode, reference: str, *, push: bool) -> CachePlan:
    """Return the plan for a build with this cache reference.

    There is no pulling first and no decision whether to: a build always reads its reference, and
    BuildKit fetches only the layers that it needs.

    Args:
        mode: where finished steps may come from.
        reference: the build's own cache reference.
        push: write the reference after the build, in any mode.
    """
    return CachePlan(
        imports=(reference,) if mode is CacheMode.REGISTRY else (),
        export=reference if push else None,
        enabled=mode is not CacheMode.DISABLED,
    )
