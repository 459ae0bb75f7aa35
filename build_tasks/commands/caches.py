"""Disk usage of caches, and pruning."""

from __future__ import annotations

from build_tasks.commands import output
from build_tasks.config.options import Options
from build_tasks.console import message
from build_tasks.storage import report
from build_tasks.storage.report import Report


def prune_cache(options: Options) -> None:
    """Prune the cache of a builder."""
    _show(report.prune(options, announce=message), options)


def show_usage(options: Options) -> None:
    """Print the disk usage of builders and cache references."""
    _show(report.report_usage(options, announce=message), options)


def _show(report: Report, options: Options) -> None:
    """Print a report as JSON or as tables, then raise its error if it has one."""
    if options.flag("json"):
        output.show_json(report.data)
    else:
        for columns, rows in report.tables:
            output.table(columns, rows)
        for line in report.notes:
            message(line)
    if report.error:
        raise report.error
