"""The patterns of .dockerignore, which say which paths of a folder are meant.

No library has them: those of .gitignore, which pathspec reads, are not bound to the root and mean
something else by `*`. BuildKit still reads the file itself; this only spares what it would refuse.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

_WILD = re.compile(r"[*?\[\\]")


@dataclass(frozen=True)
class _Run:
    """Patterns that stand together and say the same: what matches is meant, or is not."""

    meant: bool
    expression: re.Pattern[str]


@dataclass(frozen=True)
class Patterns:
    """Patterns in their order; the last one that matches a path, or a folder above it, decides.

    Args:
        runs: the patterns.
        exceptions: for each `!` pattern, what stands before its first wildcard.
    """

    runs: tuple[_Run, ...] = ()
    exceptions: tuple[str, ...] = ()

    def match(self, path: str) -> bool:
        """Return whether the patterns mean a path, like `sources/dags/smoke.py`."""
        return next((run.meant for run in reversed(self.runs) if run.expression.match(path)), False)

    def cover(self, folder: str) -> bool:
        """Return whether the patterns mean all that a folder can hold."""
        inside = f"{folder}/"
        return self.match(folder) and not any(
            prefix.startswith(inside) or inside.startswith(prefix) for prefix in self.exceptions
        )


def parse(lines: Iterable[str]) -> Patterns:
    """Return the patterns that stand in lines, as BuildKit reads them.

    Source of the grammar: github.com/moby/patternmatcher, `ignorefile` and `Pattern.compile`.

    Args:
        lines: the lines of a .dockerignore, or patterns alone.

    Raises:
        ValueError: a pattern is none.
    """
    runs: list[tuple[bool, list[str]]] = []
    exceptions = []
    for line in lines:
        pattern = line.strip()
        if not pattern or line.startswith("#"):
            continue
        meant = not pattern.startswith("!")
        pattern = posixpath.normpath(pattern.removeprefix("!").strip()).lstrip("/")
        if not meant:
            exceptions.append(_WILD.split(pattern)[0])
        if not runs or runs[-1][0] != meant:
            runs.append((meant, []))
        runs[-1][1].append(_expression(pattern))
    return Patterns(
        tuple(_Run(meant, _compiled(expressions)) for meant, expressions in runs),
        tuple(exceptions),
    )


def _compiled(expressions: list[str]) -> re.Pattern[str]:
    try:
        return re.compile(rf"(?:{'|'.join(expressions)})(?:/.*)?\Z", re.DOTALL)
    except re.error as error:
        raise ValueError(str(error)) from None


def _expression(pattern: str) -> str:
    """Return a pattern as a regular expression; `**` is any number of folders, at the end all."""
    result, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("**/", at) else 2
            result += "(?:.*/)?" if at < len(pattern) else ".*"
            continue
        sign = pattern[at]
        if sign == "\\" and at + 1 < len(pattern):
            at += 1
            result += re.escape(pattern[at])
        else:
            result += {"*": "[^/]*", "?": "[^/]", "[": "[", "]": "]", "^": "^", "-": "-"}.get(
                sign, re.escape(sign)
            )
        at += 1
    return result
