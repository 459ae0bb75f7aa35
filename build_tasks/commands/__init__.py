"""What each session and task does: read the options, call the rooms, say what came of it."""

from __future__ import annotations

from build_tasks.commands.builders import (
    create_builder,
    inspect_builder,
    list_builders,
    remove_builder,
)
from build_tasks.commands.building import (
    bake,
    build,
    build_all,
    merge_image,
    push_cache,
    push_image,
)
from build_tasks.commands.caches import prune_cache, show_usage
from build_tasks.commands.constraints import generate_constraints
from build_tasks.commands.engine import show_engine, start_engine, stop_engine
from build_tasks.commands.freshness import check_image, explain_image
from build_tasks.commands.images import load_image, save_image, verify_image
from build_tasks.commands.reports import report_image, show_matrix, show_settings

__all__ = [
    "bake",
    "build",
    "build_all",
    "check_image",
    "create_builder",
    "explain_image",
    "generate_constraints",
    "inspect_builder",
    "list_builders",
    "load_image",
    "merge_image",
    "prune_cache",
    "push_cache",
    "push_image",
    "remove_builder",
    "report_image",
    "save_image",
    "show_engine",
    "show_matrix",
    "show_settings",
    "show_usage",
    "start_engine",
    "stop_engine",
    "verify_image",
]
