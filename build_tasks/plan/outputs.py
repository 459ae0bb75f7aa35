"""What becomes of an image for each of its platforms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform

#: Outputs that get no tag: none at all, or a merge's.
UNTAGGED = {Output.NONE, Output.DIGEST}


def each(wanted: Output, platforms: Sequence[Platform]) -> Output:
    """Return what becomes of the image of each platform.

    Several platforms are one build each, with a cache of its own: pushed by digest, or built for
    the builder's cache alone, from which one more build then loads them all.
    """
    if len(platforms) == 1:
        return wanted
    return {Output.PUSH: Output.DIGEST, Output.LOAD: Output.NONE}.get(wanted, wanted)


def together(last: BuildSpec, platforms: Sequence[Platform]) -> BuildSpec:
    """Return the build that loads the image of all platforms, when each has been built.

    Args:
        last: the build for the last of them.
        platforms: all of them.
    """
    build = replace(last.build, platform=platforms[0])
    metadata = last.run.metadata.with_name(f"{build.image_identity}.json")
    return replace(
        last,
        build=build,
        output=replace(last.output, kind=Output.LOAD, extra_platforms=tuple(platforms[1:])),
        cache=CachePlan(),
        run=replace(last.run, metadata=metadata),
    )
