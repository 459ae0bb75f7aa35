"""What a build needs of its builder, and a plain word where it is not there.

Nothing is asked that a build does not need: a local build on the machine's own platform asks
nothing at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from build_tasks import builder, buildx
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
    exports = any(spec.cache.export or spec.output is Output.PUSH for spec in todo)
    if name == builder.DEFAULT and exports and not client.containerd_store:
        raise EngineError(
            "the engine keeps images in its classic store, from which its own builder exports "
            "neither caches nor attestations: turn on the containerd image store, or build with "
            f"a dedicated builder: invoke builder.create, then --builder {builder.DEDICATED}"
        )
    if {spec.platform for spec in todo} != {client.native}:
        _require_platforms(client, name, {spec.platform for spec in todo})


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
