"""What a build needs of its builder, and a plain word where it is not there.

Nothing is asked that a build does not need: a local build on the machine's own platform asks
nothing at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from build_tasks import builder, buildx, instances
from build_tasks.client import Client
from build_tasks.errors import EngineError
from build_tasks.matrix import Platform, listed
from build_tasks.spec import BuildSpec, Output


def require(client: Client, specs: Iterable[BuildSpec]) -> None:
    """Raise EngineError unless the builder can make all of these builds.

    Args:
        client: the way to the engine.
        specs: the builds, all for one builder.
    """
    todo = list(specs)
    name = todo[0].builder
    pushes = {Output.PUSH, Output.DIGEST}
    exports = any(spec.cache.export or spec.output in pushes for spec in todo)
    if name == builder.DEFAULT and exports and not client.containerd_store:
        raise EngineError(
            "the engine keeps images in its classic store, from which its own builder exports "
            "neither caches nor attestations: turn on the containerd image store, or build with "
            f"a dedicated builder: invoke builder.create, then --builder {builder.DEDICATED}"
        )
    together = [spec for spec in todo if spec.also]
    if together:
        _require_loading(client, name, together[0])
    if {spec.platform for spec in todo} != {client.native}:
        _require_platforms(client, name, {spec.platform for spec in todo})


def _require_loading(client: Client, name: str, spec: BuildSpec) -> None:
    """Raise unless an image of several platforms can be loaded from this builder."""
    wanted = listed(spec.platforms)
    if not client.containerd_store:
        raise EngineError(
            f"--load: the engine's classic image store cannot hold an image of {wanted}: turn on "
            "the containerd image store, load one platform, or --push"
        )
    nodes = instances.find(client, name).nodes
    if len(nodes) > 1:
        raise EngineError(
            f"--load: an image of {wanted} can be loaded from one node only, and builder {name} "
            f"has {listed(nodes)}: load one platform, or --push"
        )


def _require_platforms(client: Client, name: str, wanted: set[Platform]) -> None:
    found = platforms(buildx.inspect(client, name))
    missing = [platform for platform in sorted(wanted) if platform.value not in found]
    if missing:
        raise EngineError(
            f"builder {name} cannot build for {listed(missing)}: install qemu-user-static and "
            "binfmt-support on the engine's machine and restart the engine, or use a builder "
            "with a native node"
        )


def platforms(description: str) -> set[str]:
    """Return the platforms of a builder.

    Args:
        description: what `buildx inspect` prints, which has no other form up to buildx 0.36.
    """
    lines = re.findall(r"^Platforms:\s*(.*)$", description, re.MULTILINE)
    return {item.strip().rstrip("*") for line in lines for item in line.split(",")}
