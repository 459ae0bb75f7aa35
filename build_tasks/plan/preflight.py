"""Check before a run that the builder can run the builds.

Only what the builds need is checked: a local build for the host's own platform asks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from build_tasks.builders import nodes, probe, store
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError
from build_tasks.model.build import BuildSpec
from build_tasks.model.builder import DEDICATED, DEFAULT, Driver
from build_tasks.model.cache_backends import DOCKER_DRIVER_TYPES
from build_tasks.model.matrix import Platform
from build_tasks.process import Announce
from build_tasks.text import hints
from build_tasks.text.formatting import listed


def require(client: Client, specs: Sequence[BuildSpec], *, announce: Announce) -> None:
    """Raise ImagesError unless the one builder of these builds can make all of them.

    Raises:
        NetworkError: a node that the builds need does not answer.
        EngineError: the builder lacks something that the builds need.
    """
    name = specs[0].run.builder
    exports = any(
        spec.cache.export or spec.output.kind.pushes or spec.output.layout for spec in specs
    )
    if name == DEFAULT and exports and not client.containerd_store:
        raise EngineError(
            "the engine keeps images in its classic store, from which its own builder exports "
            "neither caches, attestations nor layouts: turn on the containerd image store, or "
            f"build with a dedicated builder: {hints.task('builder.create')}, then "
            f"--builder {DEDICATED}"
        )
    if name == DEFAULT:
        _require_backends(specs)
    multi_platform = [spec for spec in specs if spec.output.extra_platforms]
    if multi_platform:
        _require_loading(client, name, multi_platform[0])
    platforms = sorted({spec.build.platform for spec in specs})
    known = platforms == [client.native] if name == DEFAULT else _known(client, name, platforms)
    if not known:
        _check_routes(client, name, platforms, announce)


def _require_backends(specs: Sequence[BuildSpec]) -> None:
    """Raise EngineError unless the driver `docker` supports the caches of the builds."""
    for spec in specs:
        imports = [("--cache-from", backend) for backend in spec.cache.imports]
        exports = [("--cache-to", spec.cache.export)] if spec.cache.export else []
        for option, backend in imports + exports:
            if backend.type not in DOCKER_DRIVER_TYPES:
                raise EngineError(
                    f"{option}: the engine's own builder has no cache of type={backend.type}: "
                    f"build with a dedicated builder: {hints.task('builder.create')}, then "
                    f"--builder {DEDICATED}"
                )


def _require_loading(client: Client, name: str, spec: BuildSpec) -> None:
    """Raise EngineError unless the engine and the builder can load a multi-platform image."""
    platforms = listed(spec.platforms)
    if not client.containerd_store:
        raise EngineError(
            f"--load: the engine's classic image store cannot hold an image of {platforms}: turn "
            "on the containerd image store, load one platform, or --push"
        )
    stored = store.of(client, name)
    names = [node.name for node in stored.nodes] if stored else []
    if len(names) > 1:
        raise EngineError(
            f"--load: an image of {platforms} can be loaded from one node only, and builder {name} "
            f"has {listed(names)}: load one platform, or --push"
        )


def _known(client: Client, name: str, platforms: list[Platform]) -> bool:
    """Return whether it is known without inspecting the builder that it has the platforms."""
    stored = store.of(client, name)
    if stored is None:  # the engine of a docker context, or a builder that buildx will not find
        return platforms == [client.native]
    probe.require(client, stored, nodes.required(stored, platforms))
    local = (
        stored.driver == Driver.CONTAINER
        and len(stored.nodes) == 1
        and client.owns(stored.nodes[0].endpoint)
    )
    return nodes.all_assigned(stored, platforms) or (local and platforms == [client.native])


def _check_routes(client: Client, name: str, platforms: list[Platform], announce: Announce) -> None:
    """Raise EngineError unless a node can build for each platform; warn if it emulates."""
    statuses = nodes.read(client, name)
    if any(node.status not in {"running", "error"} for node in statuses):
        statuses = nodes.start(client, name)  # only a running node reports its platforms
    routes = {platform: nodes.route(platform, statuses) for platform in platforms}
    missing = [platform for platform, route in routes.items() if route is None]
    if missing:
        raise EngineError(
            f"builder {name} cannot build for {listed(missing)}: install qemu-user-static and "
            "binfmt-support on the engine's machine and restart the engine, or use a builder "
            "with a native node"
        )
    for platform, route in routes.items():
        if route and not route.native:
            better = f"; {route.better} is native: set its platforms" if route.better else ""
            announce(
                f"{platform} is emulated by node {route.node} of builder {name}: steps that "
                f"compute take about ten times as long as on a native machine{better}"
            )
