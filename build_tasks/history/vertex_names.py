"""What the name of a vertex of BuildKit's graph says: there is no other word on what it is."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from build_tasks.history.record import StepKind

#: `[linux/arm64 main 2/5] RUN ...`: platform and stage where there are several, in bake the target
#: before them.
_NUMBERED = re.compile(
    r"\[(?P<words>(?:[^\]\s]+ +)*)(?P<number>\d+)/(?P<total>\d+)\] (?P<text>.*)", re.DOTALL
)
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+(?:/v\d+)?(?:->\S+)?")
_IMPORT = "importing cache manifest from "
_CONTEXT = re.compile(r"\[internal\] load (?:build |\.|remote )|\[(?:context )?\S+\] load ")
_EXPORT = re.compile(r"exporting |pushing |merging manifest list |importing to docker|sending tar")
#: The names that BuildKit's cache exporters have (cache/remotecache/*, to BuildKit 0.32).
_CACHE_EXPORT = re.compile(r"exporting cache to |exporting to GitHub Actions Cache")
#: Vertices of buildx, not of BuildKit: their times are this machine's.
_CLIENT = re.compile(
    r"\[internal\] (?:booting |load local bake |waiting for |connecting )|resolving provenance|"
    r"merging manifest list |pushing \S+ with docker|importing to docker|\[internal\] pushing "
)


@dataclass(frozen=True)
class Named:
    """What a vertex's name says.

    Args:
        kind: what it is.
        stage: the stage, empty for what belongs to none.
        platform: the platform, empty where it stands there not.
        number: its place in the stage, from 1; 0 for what is not a step.
        total: the steps of the stage.
        reference: the cache reference that it reads.
        client: it is buildx's own.
    """

    kind: StepKind
    stage: str = ""
    platform: str = ""
    number: int = 0
    total: int = 0
    reference: str = ""
    client: bool = False


@functools.lru_cache(maxsize=4096)
def read(name: str) -> Named:
    """Return what a vertex's name says."""
    found = _NUMBERED.match(name)
    if found:
        words = found["words"].split()
        platform = next((word for word in words if _PLATFORM.fullmatch(word)), "")
        stage = words[-1] if words and words[-1] != platform else ""
        kind = StepKind.BASE if found["text"].startswith("FROM ") else StepKind.STEP
        return Named(kind, stage, platform, int(found["number"]), int(found["total"]))
    if name.startswith(_IMPORT):
        return Named(StepKind.IMPORT, reference=name.removeprefix(_IMPORT))
    client = bool(_CLIENT.match(name))
    if _CONTEXT.match(name) and not client and " load metadata " not in name:
        return Named(StepKind.CONTEXT)
    if _EXPORT.match(name):
        return Named(StepKind.EXPORT, client=client)
    return Named(StepKind.INTERNAL, client=client)


def is_cache_export(name: str) -> bool:
    """Return whether a vertex writes a cache."""
    return bool(_CACHE_EXPORT.match(name))
