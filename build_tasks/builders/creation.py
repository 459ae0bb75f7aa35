"""Make sure that a dedicated builder exists and is as it is wanted; remove one.

A builder is made in a folder beside its own, which then moves there whole: whoever finds it finds
it complete, its nodes booted with their configuration. Two processes that boot the same container
may otherwise start it before its configuration is in it.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from build_tasks import buildx, definition, locks, places
from build_tasks.builders import configuration, description, inventory, probe, store
from build_tasks.builders.description import Described
from build_tasks.builders.drift import Difference
from build_tasks.builders.store import Stored, StoredNode
from build_tasks.client import Client
from build_tasks.drivers import Driver
from build_tasks.errors import EngineError, ImagesError, UsageError
from build_tasks.fleet import Builder
from build_tasks.matrix import listed

Announce = Callable[[str], None]
#: Seconds before a builder is created again: Docker stops a container within ten.
PAUSES = (2.0, 10.0)


def ensure(
    here: Client,
    builder: Builder,
    *,
    announce: Announce,
    recreate: bool = False,
    drop_cache: bool = False,
) -> list[Difference]:
    """Make sure that a builder exists and runs; return where it differs from what is wanted.

    Any number of processes may ask for it at once: one creates it, the others wait and find it.

    Args:
        here: the way to the engine.
        builder: the builder as it has to be made.
        announce: is told what happens.
        recreate: make it anew where it differs.
        drop_cache: make it anew without its cache.

    Raises:
        UsageError: a builder of this name is the user's own.
        NetworkError: a node does not answer; it is named.
        ImagesError: the builder cannot be created or does not start.
    """
    name = builder.name
    if builder.driver is Driver.DOCKER:
        buildx.inspect(here.for_builder(name), name)
        announce(f"builder {name} is the engine's own: there is nothing to create")
        return []
    _refuse_the_users(name)
    existed = inventory.exists(name)
    if existed:
        _require_nodes(here, builder)
    # Whoever waits for the one that makes it does not ask its nodes, too: fifty at once would be
    # more than some of them answer in time.
    fresh = not existed and _make_once(here, builder, announce)
    found = inventory.differences(here, builder)
    if found and recreate:
        _make_anew(here, builder, announce, drop_cache=drop_cache)
        return inventory.differences(here, builder)
    if not fresh:
        _start(here, name, announce)
    return found


def remove(here: Client, name: str, *, keep_cache: bool = False) -> None:
    """Remove a dedicated builder, and its cache unless that is kept.

    Raises:
        UsageError: the suite has no such builder.
        ImagesError: it cannot be removed.
    """
    if inventory.users(name):
        raise UsageError(f"--builder: {name} is your own: remove it with docker buildx rm")
    with _lock(name, lambda _: None):
        if not inventory.exists(name):
            there = listed(inventory.names()) or "none"
            raise UsageError(f"--builder: no builder {name!r} here: there is {there}")
        ours = here.with_builders_in(inventory.folder(name))
        buildx.remove(ours, name, keep_cache=keep_cache)
        shutil.rmtree(places.builder_folder(name), ignore_errors=True)


def started(client: Client, name: str) -> list[Described]:
    """Start a builder's nodes, one process at a time, and return what they are.

    Args:
        client: the way to the builder.
        name: the builder.
    """
    with _lock(name, lambda _: None):
        return description.nodes(buildx.inspect(client, name, boot=True))


def _make_once(here: Client, builder: Builder, announce: Announce) -> bool:
    """Create a builder unless another process has; return whether it was this one."""
    name = builder.name
    with _lock(name, announce):
        if inventory.exists(name):
            return False
        _require_nodes(here, builder)
        _make(here, builder)
    announce(f"builder {name} is ready: build with it with --builder {name}")
    return True


def _make_anew(here: Client, builder: Builder, announce: Announce, *, drop_cache: bool) -> None:
    name = builder.name
    with _lock(name, announce):
        # Of several processes that want it anew, the first has made it so.
        if not inventory.differences(here, builder):
            return
        ours = here.with_builders_in(inventory.folder(name))
        buildx.remove(ours, name, keep_cache=not drop_cache)
        _make(here, builder)
    announce(f"builder {name} was made anew, {_kept(builder.driver, drop_cache=drop_cache)}")


def _kept(driver: Driver, *, drop_cache: bool) -> str:
    """Return what became of a builder's cache: only a container's is buildx's to keep or drop."""
    if driver is Driver.KUBERNETES:
        return "its pods and their cache, too"
    if driver is Driver.REMOTE:
        return "with its cache, which is its nodes' own"
    return "without its cache" if drop_cache else "with its cache"


def _make(here: Client, builder: Builder) -> None:
    """Create a builder, again where a container of its name was ending.

    A `buildx rm` that was killed leaves a container that is being stopped.
    """
    _again_where_it_passes(lambda: _make_aside(here, builder))


def _again_where_it_passes(attempt: Callable[[], None]) -> None:
    """Do what may fail for a reason that passes, and again after each pause if it did."""
    pauses = [*PAUSES]
    while True:
        try:
            attempt()
        except EngineError as error:
            if not (error.transient and pauses):
                raise
            time.sleep(pauses.pop(0))
        else:
            return


def _make_aside(here: Client, builder: Builder) -> None:
    """Create a builder aside, and move it to its place when it is complete."""
    place = places.builder_folder(builder.name)
    aside = place.with_name(f".new-{builder.name}")
    unfinished = here.with_builders_in(aside / "buildx")
    if aside.exists():
        _forget(unfinished, builder.name, aside)  # a run that was killed left it
    text = configuration.text(builder)
    (aside / "buildx").mkdir(parents=True)
    file = aside / configuration.FILE
    if text:
        file.write_text(text, encoding="utf-8")
    try:
        buildx.create(unfinished, builder, file if text else None)
    except BaseException:
        _forget(unfinished, builder.name, aside)
        raise
    shutil.rmtree(place, ignore_errors=True)
    aside.rename(place)


def _forget(unfinished: Client, name: str, aside: Path) -> None:
    """Leave no half of a builder; a cache that it found is somebody's, and stays."""
    with contextlib.suppress(ImagesError):
        if store.names(aside / "buildx"):
            buildx.remove(unfinished, name, keep_cache=True)
    shutil.rmtree(aside, ignore_errors=True)


def _start(here: Client, name: str, announce: Announce) -> None:
    ours = here.with_builders_in(inventory.folder(name))
    nodes = description.nodes(buildx.inspect(ours, name))
    if any(node.status != "running" for node in nodes):
        _again_where_it_passes(lambda: _start_nodes(ours, name))
    announce(f"builder {name} exists and runs")


def _start_nodes(ours: Client, name: str) -> None:
    for node in started(ours, name):
        if node.status != "running":
            reason = node.error or "it was started, and does not run"
            # On a busy machine the connection to a node that has just started may end.
            raise EngineError(
                f"builder {name}: node {node.name}: {reason}", transient=bool(node.error)
            )


def _require_nodes(here: Client, builder: Builder) -> None:
    planned = _planned(builder)
    probe.require(here, planned, planned.nodes)


def _planned(builder: Builder) -> Stored:
    """Return a builder as buildx will have it, to ask its nodes before it is there."""
    nodes = tuple(
        StoredNode(node.name, node.endpoint or "default", node.platforms, node.options, ())
        for node in builder.nodes
    )
    # What Kubernetes runs is there only when it was created.
    return Stored(
        builder.name, builder.driver, () if builder.driver is Driver.KUBERNETES else nodes
    )


def _refuse_the_users(name: str) -> None:
    definition.check_name(name, "--builder")
    theirs = inventory.users(name)
    if theirs:
        raise UsageError(
            f"--builder: {name} is your own, in {theirs}: it is used as it is; name the suite's "
            "builder otherwise"
        )


def _lock(name: str, announce: Announce) -> contextlib.AbstractContextManager[None]:
    path = places.builder_folder(".locks") / name
    return locks.hold(path, f"makes builder {name}", announce)
