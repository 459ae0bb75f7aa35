"""One build as a row: where it stands, made of BuildKit's events; and the lines worth a look.

Only instructions of the Dockerfile count as steps, not FROM (BuildKit says of it now one thing,
now another), nor what BuildKit does for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from build_tasks.text.redaction import redact

_STEP = re.compile(r"\[(?:linux/\S+ )?(?:[^\]\s]+ +)?\d+/\d+\] (?!FROM )(?P<text>.*)", re.DOTALL)
_WORTH = re.compile(r"exporting (?:to image|cache to)|importing cache manifest from")


@dataclass(frozen=True)
class View:
    """A row at one moment, to be drawn.

    Args:
        name: the build's identity.
        state: waiting, building, pausing, or how it ended.
        current: what it does, or why it failed.
        began: when it began, by time.monotonic(); 0 before that.
        seconds: what it took; 0 before its end.
        attempts: how often it was begun.
        total: the steps that BuildKit has named so far.
        done: the steps that are behind it.
        cached: the steps that were not executed.
    """

    name: str
    state: str
    current: str
    began: float
    seconds: float
    attempts: int
    total: int
    done: int
    cached: int


@dataclass
class Row:
    """Where a build stands.

    Args:
        name: the build's identity.
        state: waiting, building, pausing, or how it ended.
        current: what it does, or why it failed.
        began: when it began, by time.monotonic(); 0 before that.
        seconds: what it took; 0 before its end.
        attempts: how often it was begun.
    """

    name: str
    state: str = "waiting"
    current: str = ""
    began: float = 0.0
    seconds: float = 0.0
    attempts: int = 0
    _steps: dict[str, str] = field(default_factory=dict)
    _done: dict[str, bool] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    @property
    def total(self) -> int:
        """The steps that BuildKit has named so far."""
        return len(self._steps)

    @property
    def done(self) -> int:
        """The steps that are behind it."""
        return len(self._done)

    @property
    def cached(self) -> int:
        """The steps that were not executed."""
        return sum(self._done.values())

    def view(self) -> View:
        """Return a copy to be drawn."""
        return View(
            self.name,
            self.state,
            self.current,
            self.began,
            self.seconds,
            self.attempts,
            self.total,
            self.done,
            self.cached,
        )

    def begin(self, now: float) -> None:
        """Forget an attempt before this one."""
        self.state, self.current = "building", ""
        self.began = self.began or now
        self.attempts += 1
        for each in (self._steps, self._done, self._told):
            each.clear()

    def take(self, event: Mapping[str, Any]) -> list[str]:
        """Follow one event, and return what is worth a line: what begins to run, what goes wrong.

        Args:
            event: one of BuildKit's (client.SolveStatus as JSON; a vertex comes many times).
        """
        worth = []
        for vertex in event.get("vertexes") or ():
            said = self._vertex(vertex)
            if said and said not in self._told:
                self._told.add(said)
                worth.append(said)
        return worth

    def _vertex(self, vertex: Mapping[str, Any]) -> str:
        digest, name = str(vertex.get("digest", "")), str(vertex.get("name", ""))
        step = _STEP.match(name)
        if step:
            self._steps[digest] = name
            if vertex.get("completed") and not vertex.get("error"):
                # It stays cached: a later event may be about its layers being fetched.
                self._done[digest] = bool(vertex.get("cached")) or self._done.get(digest, False)
        elif not _WORTH.match(name):
            return ""
        name, error = redact(name), redact(str(vertex.get("error", "")))
        if error:
            return _without_cache(name, error) if _WORTH.match(name) else ""
        if not vertex.get("started") or vertex.get("completed") or vertex.get("cached"):
            return ""
        self.current = " ".join(name.split())
        return "" if name.startswith("importing") else self.current


def _without_cache(name: str, error: str) -> str:
    """Return why a cache was not read or written; such a build goes on."""
    if error.endswith("context canceled"):
        return ""
    return f"{name}: {error.rpartition(': ')[2]}"
