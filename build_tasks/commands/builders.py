"""Dedicated builders."""

from __future__ import annotations

import json

from build_tasks import console
from build_tasks.commands.output import say, table, text
from build_tasks.config.options import Options


def create_builder(options: Options) -> None:
    """Make sure that a dedicated builder exists, runs and is as images.toml has it."""
    from build_tasks.commands import builder_actions  # noqa: PLC0415 - start-up time

    builder_actions.create(options, announce=say)


def list_builders(options: Options) -> None:
    """Print the builders that can be named, and whether they run."""
    from build_tasks.commands import builder_actions  # noqa: PLC0415 - start-up time

    rows = builder_actions.rows(options, announce=say)
    if options.flag("json"):
        console.answer(json.dumps(rows, indent=2))
    else:
        columns = ("builder", "driver", "status", "platforms", "from")
        table(columns, [[text(row[column]) for column in columns] for row in rows])


def inspect_builder(options: Options) -> None:
    """Print what a builder's nodes are and run, and where they differ from images.toml."""
    from build_tasks.commands import builder_actions  # noqa: PLC0415 - start-up time

    seen = builder_actions.seen(options, announce=say)
    if options.flag("json"):
        console.answer(json.dumps(seen, indent=2))
    else:
        table(("builder", ""), builder_actions.lines(seen))


def remove_builder(options: Options) -> None:
    """Remove a dedicated builder and its cache."""
    from build_tasks.commands import builder_actions  # noqa: PLC0415 - start-up time

    builder_actions.remove(options, announce=say)
