"""From options to builders: which one is meant, what is to be done with it, what it is."""

from __future__ import annotations

from collections.abc import Callable

from build_tasks.builders import inventory
from build_tasks.config.options import Options
from build_tasks.errors import EngineError, UsageError
from build_tasks.model.builder import DEDICATED, DEFAULT, Driver
from build_tasks.plan import build_host
from build_tasks.plan.build_host import BuildHost

Announce = Callable[[str], None]


def create(options: Options, *, announce: Announce) -> None:
    """Make sure that a builder exists, runs and is as images.toml has it.

    Raises:
        EngineError: it is not, and was not to be made anew.
        ImagesError: it cannot be created or does not start.
    """
    from build_tasks.builders import creation, desired  # noqa: PLC0415 - not on the way of a build

    settings = options.settings()
    recreate, drop_cache = options.flag("recreate"), options.flag("drop-cache")
    if drop_cache and not recreate:
        raise UsageError(
            "--drop-cache: drops the cache of a builder that is made anew: add --recreate"
        )
    name = settings.builder
    if name == DEFAULT and name not in settings.builders:
        name = DEDICATED
    where = build_host.find(settings, start=True, announce=announce)
    builder = desired.wanted(
        where.client, settings.builder_named(name), where.names.registry, announce
    )
    found = creation.ensure(
        where.client, builder, announce=announce, recreate=recreate, drop_cache=drop_cache
    )
    for one in found:
        announce(f"{one.where}: {one.what} is {one.found}, wanted is {one.wanted}")
    if found:
        kept = "" if builder.driver is Driver.KUBERNETES else ", with its cache"
        raise EngineError(
            f"builder {name} differs from what is wanted, see above: --recreate makes it anew{kept}"
        )


def prepare(host: BuildHost, *, announce: Announce) -> None:
    """Create the builder that images.toml defines and a build names, if it is not there yet."""
    from build_tasks.builders import creation, desired  # noqa: PLC0415 - not on the way of a build

    name = host.settings.builder
    defined = host.settings.builder_named(name)
    if defined.driver is Driver.DOCKER or inventory.exists(name) or inventory.users(name):
        return
    builder = desired.wanted(host.client, defined, host.names.registry, announce)
    creation.ensure(host.client, builder, announce=announce)


def remove(options: Options, *, announce: Announce) -> None:
    """Remove a dedicated builder, and its cache unless that is kept."""
    from build_tasks.builders import creation  # noqa: PLC0415 - not on the way of a build

    settings = options.settings()
    if settings.builder == DEFAULT:
        raise UsageError("--builder: name the builder to remove; default is the engine's own")
    where = build_host.find(settings, start=False, announce=announce)
    creation.remove(where.client, settings.builder, keep_cache=options.flag("keep-cache"))


def rows(options: Options, *, announce: Announce) -> list[dict[str, object]]:
    """Return what there is to know of each builder that can be named."""
    from build_tasks.builders import describe  # noqa: PLC0415 - not on the way of a build

    settings = options.settings()
    where = build_host.find(settings, start=False, announce=announce)
    return describe.rows(where.client, settings.builders)


def seen(options: Options, *, announce: Announce) -> dict[str, object]:
    """Return what there is to know of one builder, its nodes and what they run."""
    from build_tasks.builders import describe, desired  # noqa: PLC0415 - not on the way of a build

    settings = options.settings()
    where = build_host.find(settings, start=False, announce=announce)
    name = settings.builder
    builder = settings.builder_named(name)
    compare = inventory.exists(name) or name in settings.builders
    wanted = None
    if compare and builder.driver is not Driver.DOCKER:
        wanted = desired.wanted(where.client, builder, where.names.registry)
    return describe.look(where.client, name, wanted, settings.builders)


def lines(seen: dict[str, object]) -> list[tuple[str, str]]:
    """Return what is known of a builder as lines for people: a name, and what it has."""
    from build_tasks.builders import describe  # noqa: PLC0415 - not on the way of a build

    return describe.lines(seen)
