"""Read the names of BuildKit's vertices: nothing else says what a vertex is."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from build_tasks.history.record import StepKind

#: `[linux/arm64 main 2/5] RUN ...`: platform and stage where there are several, in bake after the
#: target.
_NUMBERED = re.compile(
    r"\[(?P<words>(?:[^\]\s]+ +)*)(?P<number>\d+)/(?P<total>\d+)\] (?P<text>.*)", re.DOTALL
)
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+(?:/v\d+)?(?:->\S+)?")
_IMPORT = "importing cache manifest from "
_CONTEXT = re.compile(r"\[internal\] load (?:build |\.|remote )|\[(?:context )?\S+\] load ")
_EXPORT = re.compile(r"exporting |pushing |merging manifest list |importing to docker|sending tar")
#: The names of the vertices of BuildKit's cache exporters (cache/remotecache/*, to BuildKit 0.32).
_CACHE_EXPORT = re.compile(r"exporting cache to |exporting to GitHub Actions Cache")
#: Vertices of buildx, whose times are by this machine's clock.
_CLIENT = re.compile(
    r"\[internal\] (?:booting |load local bake |waiting for |connecting )|resolving provenance|"
    r"merging manifest list |pushing \S+ with docker|importing to docker|\[internal\] pushing "
)


@dataclass(frozen=True)
class VertexName:
    """What a vertex's name says.

    Args:
        kind: what the vertex does.
        stage: its stage; empty for none.
        platform: its platform; empty if the name has none.
        number: its place in the stage, from 1; 0 if it is not an instruction.
        total: the number of instructions of the stage.
        instruction: its text, like `FROM python`; empty if it is not an instruction.
        reference: the cache reference that it imports.
        client: it is a vertex of buildx, not of BuildKit.
    """

    kind: StepKind
    stage: str = ""
    platform: str = ""
    number: int = 0
    total: int = 0
    instruction: str = ""
    reference: str = ""
    client: bool = False


@functools.lru_cache(maxsize=4096)
def parse(name: str) -> VertexName:
    """Parse the name of a vertex."""
    match = _NUMBERED.match(name)
    if match:
        words = match["words"].split()
        platform = next((word for word in words if _PLATFORM.fullmatch(word)), "")
        stage = words[-1] if words and words[-1] != platform else ""
        kind = StepKind.BASE if match["text"].startswith("FROM ") else StepKind.STEP
        numbers = int(match["number"]), int(match["total"])
        return VertexName(kind, stage, platform, *numbers, match["text"])
    if name.startswith(_IMPORT):
        return VertexName(StepKind.IMPORT, reference=name.removeprefix(_IMPORT))
    client = bool(_CLIENT.match(name))
    if _CONTEXT.match(name) and not client and " load metadata " not in name:
        return VertexName(StepKind.CONTEXT)
    if _EXPORT.match(name):
        return VertexName(StepKind.EXPORT, client=client)
    return VertexName(StepKind.INTERNAL, client=client)


def is_cache_export(name: str) -> bool:
    """Return whether a vertex writes a cache."""
    return bool(_CACHE_EXPORT.match(name))
