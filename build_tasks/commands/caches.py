"""What caches cost, and removing them."""

from __future__ import annotations

from build_tasks.commands.shown import figures, say
from build_tasks.options import Options


def prune_cache(options: Options) -> None:
    """Remove a builder's cache, or say what would go."""
    from build_tasks import housekeeping  # noqa: PLC0415 - start-up time

    figures(housekeeping.pruned(options, announce=say), options)


def show_usage(options: Options) -> None:
    """Print what builders and cache references keep, in bytes."""
    from build_tasks import housekeeping  # noqa: PLC0415 - start-up time

    figures(housekeeping.used(options, announce=say), options)
