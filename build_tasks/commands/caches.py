"""Disk usage of caches, and pruning."""

from __future__ import annotations

from build_tasks.commands.output import figures, say
from build_tasks.config.options import Options
from build_tasks.storage import report


def prune_cache(options: Options) -> None:
    """Prune the cache of a builder."""
    figures(report.prune(options, announce=say), options)


def show_usage(options: Options) -> None:
    """Print the disk usage of builders and cache references."""
    figures(report.report_usage(options, announce=say), options)
