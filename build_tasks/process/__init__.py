"""Run programs: the only package that does.

Each child has a session of its own. ^C in a terminal reaches this process alone, which ends the
child's group: with SIGTERM, on which BuildKit cancels the build, and SIGKILL after a grace.
"""

from __future__ import annotations

from build_tasks.process.children import CHILDREN
from build_tasks.process.commands import Announce, Command, Completed, Environment, echo, quote
from build_tasks.process.foreground import attached, has_input, on_terminal
from build_tasks.process.running import reading, run, writing
from build_tasks.process.signals import interruptible
from build_tasks.process.streaming import stream

__all__ = [
    "Announce",
    "Command",
    "Completed",
    "Environment",
    "attached",
    "echo",
    "has_input",
    "interruptible",
    "on_terminal",
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

pool = CHILDREN.pool
remove_if_killed = CHILDREN.watchdog.remove_if_killed
spawn = CHILDREN.spawn
stoppable_threads = CHILDREN.stoppable_threads
