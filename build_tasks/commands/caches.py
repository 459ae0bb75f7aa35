"""What caches cost, and removing them."""

from __future__ import annotations

from build_tasks.commands.output import figures, say
from build_tasks.config.options import Options


def prune_cache(options: Options) -> None:
    """Remove a builder's cache, or say what would go."""
    from build_tasks.storage import report  # noqa: PLC0415 - start-up time

    figures(report.pruned(options, announce=say), options)


def show_usage(options: Options) -> None:
    """Print what builders and cache references keep, in bytes."""
    from build_tasks.storage import report  # noqa: PLC0415 - start-up time

    figures(report.used(options, announce=say), options)
