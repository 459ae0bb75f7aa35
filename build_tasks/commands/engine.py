"""The embedded engine."""

from __future__ import annotations

import json
import os

from build_tasks import console
from build_tasks.commands.output import say, table, text
from build_tasks.config import settings
from build_tasks.config.options import Options
from build_tasks.model.matrix import Platform


def start_engine(options: Options) -> None:
    """Start the embedded engine, if it does not run."""
    from build_tasks.engine import lifecycle  # noqa: PLC0415 - not where Docker runs

    settings.check_variables(os.environ)
    asked = options.items("emulate")
    emulate = [Platform.parse(text, "--emulate").architecture for text in asked]
    engine = lifecycle.start(announce=say, emulate=emulate)
    say(f"the embedded engine runs: DOCKER_HOST={engine.host}, registry {engine.registry}")


def show_engine(options: Options) -> None:
    """Print whether the embedded engine runs, and where it keeps what."""
    from build_tasks.engine import lifecycle  # noqa: PLC0415 - not where Docker runs

    settings.check_variables(os.environ)
    status = lifecycle.status()
    if options.flag("json"):
        console.answer(json.dumps(status, indent=2))
    else:
        table(("engine", ""), [(key, text(value)) for key, value in status.items()])


def stop_engine(options: Options) -> None:
    """Stop what starting the embedded engine started, and nothing else."""
    from build_tasks.engine import lifecycle  # noqa: PLC0415 - not where Docker runs

    settings.check_variables(os.environ)
    stopped = lifecycle.stop(announce=say, purge=options.flag("purge"))
    for line in stopped or ["the embedded engine does not run"]:
        say(line)
