"""Run, capture, stream: the only door to other programs.

Every child has a session of its own, so that it ends when we say so and its whole group with it:
^C of the terminal reaches this process alone, which asks the child to end (BuildKit cancels the
build on SIGTERM), waits, and only then kills.
"""

from __future__ import annotations

from build_tasks.process.children import (
    GRACE,
    allow_others,
    end_others,
    pool,
    spawn,
    stoppable_threads,
)
from build_tasks.process.commands import Command, Completed, Environment, echo, quote
from build_tasks.process.running import reading, run, writing
from build_tasks.process.signals import interruptible
from build_tasks.process.streaming import TAIL_BYTES, stream
from build_tasks.process.watchdog import remove_if_killed

__all__ = [
    "GRACE",
    "TAIL_BYTES",
    "Command",
    "Completed",
    "Environment",
    "allow_others",
    "echo",
    "end_others",
    "interruptible",
    "pool",
    "quote",
    "reading",
    "remove_if_killed",
    "run",
    "spawn",
    "stoppable_threads",
    "stream",
    "writing",
]
