"""Create, start, re-create and remove dedicated builders.

A builder is created in a temporary folder, which is then renamed: whoever finds a builder finds it
complete, its nodes started with their configuration. Without that, two processes could start the
same container, one of them before its configuration is in it.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable

from build_tasks import paths
from build_tasks.builders import desired, drift, nodes, probe, store
from build_tasks.builders.drift import Difference
from build_tasks.buildx import management
from build_tasks.buildx.toolchain import Client
from build_tasks.config import builder_tables
from build_tasks.errors import EngineError, ImagesError, UsageError
from build_tasks.model.builder import Builder, Driver
from build_tasks.process import Announce
from build_tasks.text.formatting import listed

#: Seconds before another attempt to create or start a builder: Docker stops a container within ten.
PAUSES = (2.0, 10.0)
#: What happens to a cache that only its driver decides on.
_FATES: dict[str, str] = {
    Driver.KUBERNETES: "without its cache, which was in its pods",
    Driver.REMOTE: "with its cache, which its nodes keep",
}


def ensure(
    client: Client,
    builder: Builder,
    *,
    announce: Announce,
    recreate: bool = False,
    drop_cache: bool = False,
) -> list[Difference]:
    """Create a builder unless it exists, start it, and return how it differs from its definition.

    Any number of processes may do so at once: one creates the builder, the others wait. With
    `recreate` a builder that differs is created again, without its cache if `drop_cache` is set.

    Raises:
        UsageError: the user's own buildx has a builder of this name.
        NetworkError: nodes do not answer; the message names them.
        ImagesError: the builder cannot be created or does not start.
    """
    name = builder.name
    if builder.driver == Driver.DOCKER:
        nodes.read(store.client_for(client, name), name)
        announce(f"builder {name} is the engine's own: there is nothing to create")
        return []
    builder_tables.parse_name(name, "--builder")
    if store.is_users(name):
        raise UsageError(
            f"--builder: {name} is your own, in {store.users_folder()}, and is used as it is: "
            "choose another name"
        )
    existed = store.exists(name)
    if existed:
        _require_nodes(client, builder)
    # Only the process that creates it probes the nodes: fifty concurrent probes would time out.
    created = not existed and _create_once(client, builder, announce)
    differences = drift.differences(client, builder)
    if differences and recreate:
        _recreate(client, builder, announce, drop_cache=drop_cache)
        return drift.differences(client, builder)
    if not created:
        _start(store.client_for(client, name), name, announce)
    return differences


def remove(client: Client, name: str, *, keep_cache: bool = False) -> None:
    """Remove a dedicated builder, and its cache unless that is kept.

    Raises:
        UsageError: the suite has no such builder.
        ImagesError: it cannot be removed.
    """
    if store.is_users(name):
        raise UsageError(f"--builder: {name} is your own: remove it with docker buildx rm")
    with store.lock(name, lambda _: None):
        if not store.exists(name):
            existing = listed(store.suite_names()) or "none"
            raise UsageError(f"--builder: no builder {name!r}: choose {existing}")
        management.remove(store.client_for(client, name), name, keep_cache=keep_cache)
        shutil.rmtree(paths.builder_folder(name), ignore_errors=True)


def _create_once(client: Client, builder: Builder, announce: Announce) -> bool:
    """Create a builder unless another process has; return whether this process did."""
    name = builder.name
    with store.lock(name, announce):
        if store.exists(name):
            return False
        _require_nodes(client, builder)
        _retry(lambda: _create(client, builder))
    announce(f"builder {name} is ready: build with it with --builder {name}")
    return True


def _recreate(client: Client, builder: Builder, announce: Announce, *, drop_cache: bool) -> None:
    name = builder.name
    with store.lock(name, announce):
        if not drift.differences(client, builder):
            return  # another process has done it
        management.remove(store.client_for(client, name), name, keep_cache=not drop_cache)
        _retry(lambda: _create(client, builder))
    fate = _FATES.get(builder.driver, "without its cache" if drop_cache else "with its cache")
    announce(f"builder {name} was recreated, {fate}")


def _retry(attempt: Callable[[], None]) -> None:
    """Call a function until it raises no transient error.

    A `buildx rm` that was killed leaves a container that is being stopped.
    """
    for pause in PAUSES:
        try:
            return attempt()
        except EngineError as error:
            if not error.transient:
                raise
        time.sleep(pause)
    return attempt()


def _create(client: Client, builder: Builder) -> None:
    folder = paths.builder_folder(builder.name)
    temporary = folder.with_name(f".new-{builder.name}")
    unfinished = client.with_environment(BUILDX_CONFIG=str(temporary / "buildx"))

    def clean_up() -> None:
        """Remove an unfinished builder. A cache that it found is not its own, and stays."""
        with contextlib.suppress(ImagesError):
            if store.names(temporary / "buildx"):
                management.remove(unfinished, builder.name, keep_cache=True)
        shutil.rmtree(temporary, ignore_errors=True)

    if temporary.exists():  # left by a process that was killed
        clean_up()
    (temporary / "buildx").mkdir(parents=True)
    text = desired.buildkitd_toml(builder)
    file = temporary / desired.FILE
    if text:
        file.write_text(text, encoding="utf-8")
    try:
        management.create(unfinished, builder, file if text else None)
    except BaseException:
        clean_up()
        raise
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def _start(client: Client, name: str, announce: Announce) -> None:
    if any(node.status != "running" for node in nodes.read(client, name)):
        _retry(lambda: _start_nodes(client, name))
    announce(f"builder {name} exists and runs")


def _start_nodes(client: Client, name: str) -> None:
    for node in nodes.start(client, name):
        if node.status != "running":
            reason = node.error or "it was started but does not run"
            # On a busy machine the connection to a node that has just started may end.
            raise EngineError(
                f"builder {name}: node {node.name}: {reason}", transient=bool(node.error)
            )


def _require_nodes(client: Client, builder: Builder) -> None:
    """Raise NetworkError unless the nodes of a builder that need not exist yet answer."""
    if builder.driver != Driver.KUBERNETES:  # its nodes exist only once it is created
        probe.require(client, builder, builder.nodes)
