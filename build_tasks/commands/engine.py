"""The embedded engine."""

from __future__ import annotations

import json
import os

from build_tasks import console
from build_tasks.commands.output import say, table, text
from build_tasks.config.loading import check_variables
from build_tasks.config.options import Options
from build_tasks.engine import lifecycle
from build_tasks.model.matrix import Platform


def start_engine(options: Options) -> None:
    """Start the embedded engine unless it runs."""
    check_variables(os.environ)
    platforms = [Platform.parse(name, "--emulate") for name in options.items("emulate")]
    emulate = [platform.architecture for platform in platforms]
    engine = lifecycle.start(announce=say, emulate=emulate)
    say(f"the embedded engine runs: DOCKER_HOST={engine.host}, registry {engine.registry}")


def show_engine(options: Options) -> None:
    """Print the status of the embedded engine."""
    check_variables(os.environ)
    status = lifecycle.status()
    if options.flag("json"):
        console.answer(json.dumps(status, indent=2))
    else:
        table(("engine", ""), [(key, text(value)) for key, value in status.items()])


def stop_engine(options: Options) -> None:
    """Stop the embedded engine and everything that it started."""
    check_variables(os.environ)
    stopped = lifecycle.stop(announce=say, purge=options.flag("purge"))
    for line in stopped or ["the embedded engine does not run"]:
        say(line)
