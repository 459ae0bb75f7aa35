"""Disk usage of caches, and pruning."""

from __future__ import annotations

from build_tasks.commands.output import show_report
from build_tasks.config.options import Options
from build_tasks.console import message
from build_tasks.storage import report


def prune_cache(options: Options) -> None:
    """Prune the cache of a builder."""
    show_report(report.prune(options, announce=message), options)


def show_usage(options: Options) -> None:
    """Print the disk usage of builders and cache references."""
    show_report(report.report_usage(options, announce=message), options)
