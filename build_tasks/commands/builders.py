"""Dedicated builders."""

from __future__ import annotations

from build_tasks.builders import creation, describe, desired, store
from build_tasks.commands.output import show
from build_tasks.config.options import Options
from build_tasks.console import message
from build_tasks.errors import EngineError, UsageError
from build_tasks.model.builder import DEDICATED, DEFAULT, Driver
from build_tasks.plan import build_host
from build_tasks.plan.build_host import BuildHost


def create_builder(options: Options) -> None:
    """Create and start a dedicated builder, or compare it with its definition."""
    settings = options.settings()
    recreate, drop_cache = options.flag("recreate"), options.flag("drop-cache")
    if drop_cache and not recreate:
        raise UsageError("--drop-cache: only with --recreate")
    name = settings.builder
    if name == DEFAULT and name not in settings.builders:
        name = DEDICATED
    host = build_host.find(settings, start=True, announce=message)
    builder = desired.desired_builder(
        host.client, settings.builder_named(name), host.names.registry, message
    )
    differences = creation.ensure(
        host.client, builder, announce=message, recreate=recreate, drop_cache=drop_cache
    )
    for difference in differences:
        message(str(difference))
    if differences:
        cache = "" if builder.driver == Driver.KUBERNETES else " and keeps its cache"
        raise EngineError(
            f"builder {name} differs from its definition, see above: --recreate recreates it{cache}"
        )


def create_missing(host: BuildHost) -> None:
    """Create the builder of a build if images.toml defines it and it does not exist yet."""
    name = host.settings.builder
    defined = host.settings.builder_named(name)
    if defined.driver == Driver.DOCKER or store.exists(name) or store.is_users(name):
        return
    builder = desired.desired_builder(host.client, defined, host.names.registry, message)
    creation.ensure(host.client, builder, announce=message)


def list_builders(options: Options) -> None:
    """List the builders and their status."""
    settings = options.settings()
    host = build_host.find(settings, start=False, announce=message)
    rows = describe.list_builders(host.client, settings.builders)
    columns = ("builder", "driver", "status", "platforms", "from")
    show(options, rows, columns, [[row[column] for column in columns] for row in rows])


def inspect_builder(options: Options) -> None:
    """Print a builder's nodes, and how they differ from its definition."""
    settings = options.settings()
    host = build_host.find(settings, start=False, announce=message)
    name = settings.builder
    builder = settings.builder_named(name)
    wanted = None
    known = store.exists(name) or name in settings.builders
    if known and builder.driver != Driver.DOCKER:
        wanted = desired.desired_builder(host.client, builder, host.names.registry)
    description = describe.describe(host.client, name, wanted, settings.builders)
    show(options, description, ("builder", ""), describe.flatten(description))


def remove_builder(options: Options) -> None:
    """Remove a dedicated builder, with its cache unless --keep-cache is given."""
    settings = options.settings()
    if settings.builder == DEFAULT:
        raise UsageError("--builder: name the builder to remove; default is the engine's own")
    host = build_host.find(settings, start=False, announce=message)
    creation.remove(host.client, settings.builder, keep_cache=options.flag("keep-cache"))
