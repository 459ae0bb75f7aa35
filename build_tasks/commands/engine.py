"""The embedded engine."""

from __future__ import annotations

import os

from build_tasks.commands.output import show
from build_tasks.config.loading import read_environment
from build_tasks.config.options import Options
from build_tasks.console import message
from build_tasks.engine import lifecycle
from build_tasks.model.matrix import Platform


def start_engine(options: Options) -> None:
    """Start the embedded engine unless it runs."""
    read_environment(os.environ)  # raises for a misspelt variable
    platforms = [Platform.parse(name, "--emulate") for name in options.items("emulate")]
    emulate = [platform.architecture for platform in platforms]
    engine = lifecycle.start(announce=message, emulate=emulate)
    message(f"the embedded engine runs: DOCKER_HOST={engine.host}, registry {engine.registry}")


def show_engine(options: Options) -> None:
    """Print the status of the embedded engine."""
    read_environment(os.environ)
    status = lifecycle.status()
    show(options, status, ("engine", ""), status.items())


def stop_engine(options: Options) -> None:
    """Stop the embedded engine and everything that it started."""
    read_environment(os.environ)
    stopped = lifecycle.stop(announce=message, purge=options.flag("purge"))
    for line in stopped or ["the embedded engine does not run"]:
        message(line)
