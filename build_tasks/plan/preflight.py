"""What a build needs of its builder, and a plain word where it is not there.

Nothing is asked that a build does not need: a local build on the machine's own platform asks
nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from build_tasks.builders import nodes, probe, store
from build_tasks.builders.store import StoredBuilder
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError
from build_tasks.model.build import BuildSpec
from build_tasks.model.builder import DEDICATED, DEFAULT, Driver
from build_tasks.model.cache_backends import DOCKER_DRIVER_TYPES
from build_tasks.model.matrix import Platform
from build_tasks.text.formatting import listed


def require(client: Client, specs: Iterable[BuildSpec], *, announce: Callable[[str], None]) -> None:
    """Raise ImagesError unless the builder can make all of these builds.

    Args:
        client: the way to the builder.
        specs: the builds, all for one builder.
        announce: is told what will take longer than it has to.

    Raises:
        NetworkError: a node that the builds need does not answer; it is named.
        EngineError: the builder lacks what the builds need.
    """
    todo = list(specs)
    name = todo[0].run.builder
    exports = any(spec.cache.export or spec.output.kind.pushes for spec in todo)
    if name == DEFAULT and exports and not client.containerd_store:
        raise EngineError(
            "the engine keeps images in its classic store, from which its own builder exports "
            "neither caches nor attestations: turn on the containerd image store, or build with "
            f"a dedicated builder: invoke builder.create, then --builder {DEDICATED}"
        )
    if name == DEFAULT:
        _require_backends(todo)
    together = [spec for spec in todo if spec.output.extra_platforms]
    if together:
        _require_loading(client, name, together[0])
    platforms = sorted({spec.build.platform for spec in todo})
    if name != DEFAULT and _settled(client, name, platforms):
        return
    if name == DEFAULT and platforms == [client.native]:
        return
    _route(client, name, platforms, announce)


def _require_backends(specs: Iterable[BuildSpec]) -> None:
    """Raise unless an engine's own builder has the places of the builds' caches."""
    for spec in specs:
        places = [*spec.cache.imports, *([spec.cache.export] if spec.cache.export else [])]
        for place in places:
            if place.type not in DOCKER_DRIVER_TYPES:
                option = "--cache-to" if place is spec.cache.export else "--cache-from"
                raise EngineError(
                    f"{option}: the engine's own builder has no cache of type={place.type}: build "
                    f"with a dedicated builder: invoke builder.create, then --builder {DEDICATED}"
                )


def _require_loading(client: Client, name: str, spec: BuildSpec) -> None:
    """Raise unless an image of several platforms can be loaded from this builder."""
    wanted = listed(spec.platforms)
    if not client.containerd_store:
        raise EngineError(
            f"--load: the engine's classic image store cannot hold an image of {wanted}: turn on "
            "the containerd image store, load one platform, or --push"
        )
    stored = store.of(client, name)
    names = [node.name for node in stored.nodes] if stored else []
    if len(names) > 1:
        raise EngineError(
            f"--load: an image of {wanted} can be loaded from one node only, and builder {name} "
            f"has {listed(names)}: load one platform, or --push"
        )


def _settled(client: Client, name: str, platforms: list[Platform]) -> bool:
    """Return whether it is known without asking the builder that it has the platforms."""
    stored = store.of(client, name)
    if stored is None:
        # A docker context's engine, or nothing: buildx knows, and says it.
        return platforms == [client.native]
    probe.require(client, stored, nodes.required(stored, platforms))
    return nodes.all_assigned(stored, platforms) or (
        _local(client, stored) and platforms == [client.native]
    )


def _local(client: Client, stored: StoredBuilder) -> bool:
    """Return whether a builder has one node, and that on the engine itself."""
    if stored.driver != Driver.CONTAINER or len(stored.nodes) != 1:
        return False
    return client.owns(stored.nodes[0].endpoint)


def _route(
    client: Client, name: str, platforms: list[Platform], announce: Callable[[str], None]
) -> None:
    statuses = nodes.read(client, name)
    if any(node.status not in {"running", "error"} for node in statuses):
        statuses = nodes.start(client, name)  # only a running node reports its platforms
    routes = {platform: nodes.route(platform, statuses) for platform in platforms}
    missing = [platform for platform, found in routes.items() if found is None]
    if missing:
        raise EngineError(
            f"builder {name} cannot build for {listed(missing)}: install qemu-user-static and "
            "binfmt-support on the engine's machine and restart the engine, or use a builder "
            "with a native node"
        )
    for platform, found in routes.items():
        if found and not found.native:
            better = f"; {found.better} has it natively: set its platforms" if found.better else ""
            announce(
                f"{platform} is emulated by node {found.node} of builder {name}: what computes "
                f"takes about ten times as long as on a machine of its own{better}"
            )
