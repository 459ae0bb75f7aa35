"""Match paths with the patterns of .dockerignore.

No library does: the patterns of .gitignore, which pathspec implements, are not anchored at the root
and have another meaning of `*`. BuildKit reads the file itself, too; matching here only avoids
copies of what BuildKit would leave out.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache

_WILD = re.compile(r"[*?\[\\]")
#: Wildcards that a pattern may have to be matched by a regular expression: each one may make it
#: backtrack over the whole path, so the time grows with this power of the path's length.
_BACKTRACKING = 2


class _Wild(Enum):
    """A wildcard of any length, as a regular expression."""

    STAR = "[^/]*"
    #: `**` before something else: any number of whole folders.
    FOLDERS = "(?:.*/)?"
    #: `**` at the end; and at the beginning of a pattern without another wildcard.
    ANYTHING = ".*"


#: A wildcard of any length, or the regular expression of one character.
_Token = _Wild | str


@dataclass(frozen=True)
class _Run:
    """Adjacent patterns that all match, or all except (`!`)."""

    matches: bool
    expression: re.Pattern[str]
    slow: tuple[tuple[_Token, ...], ...] = ()

    def match(self, path: str) -> bool:
        """Return whether a path, or a folder above it, matches one of the patterns."""
        return bool(self.expression.match(path)) or any(simulate(p, path) for p in self.slow)


@dataclass(frozen=True)
class Patterns:
    """Patterns in order; the last one that matches a path, or a folder above it, decides.

    Args:
        runs: the patterns.
        exceptions: for each `!` pattern, the text before its first wildcard.
    """

    runs: tuple[_Run, ...] = ()
    exceptions: tuple[str, ...] = ()

    def match(self, path: str) -> bool:
        """Return whether a path, like `sources/dags/smoke.py`, matches."""
        return next((run.matches for run in reversed(self.runs) if run.match(path)), False)

    def cover(self, folder: str) -> bool:
        """Return whether everything that a folder can hold matches."""
        inside = f"{folder}/"
        return self.match(folder) and not any(
            prefix.startswith(inside) or inside.startswith(prefix) for prefix in self.exceptions
        )


def parse(lines: Iterable[str]) -> Patterns:
    """Parse patterns as BuildKit does.

    Source of the grammar: github.com/moby/patternmatcher, `ignorefile` and `Pattern.compile`.

    Args:
        lines: the lines of a .dockerignore, or patterns alone.

    Raises:
        ValueError: a pattern is invalid.
    """
    runs: list[tuple[bool, list[tuple[_Token, ...]]]] = []
    exceptions = []
    for line in lines:
        pattern = line.strip()
        if not pattern or line.startswith("#"):
            continue
        matches = not pattern.startswith("!")
        if pattern == "!":
            raise ValueError("has nothing after '!'")
        pattern = posixpath.normpath(pattern.removeprefix("!").strip()).lstrip("/")
        if not matches:
            exceptions.append(_WILD.split(pattern)[0])
        if not runs or runs[-1][0] != matches:
            runs.append((matches, []))
        runs[-1][1].append(tokens(pattern))
    return Patterns(tuple(_run(matches, patterns) for matches, patterns in runs), tuple(exceptions))


def _run(matches: bool, patterns: list[tuple[_Token, ...]]) -> _Run:
    slow = [p for p in patterns if sum(isinstance(token, _Wild) for token in p) > _BACKTRACKING]
    quick = ("".join(map(_expression, pattern)) for pattern in patterns if pattern not in slow)
    joined = "|".join(quick) or r"(?!)"  # never matches
    return _Run(matches, re.compile(rf"(?:{joined})(?:/.*)?\Z", re.DOTALL), tuple(slow))


def tokens(pattern: str) -> tuple[_Token, ...]:
    """Split a cleaned pattern into wildcards and expressions of single characters.

    Raises:
        ValueError: a class or an escape is incomplete.
    """
    result: list[_Token] = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("**/", at) else 2
            wild = _Wild.FOLDERS if at < len(pattern) else _Wild.ANYTHING
            if not (result and result[-1] is wild):  # twice is once
                result.append(wild)
        elif pattern[at] == "*":
            at += 1
            if not (result and result[-1] is _Wild.STAR):
                result.append(_Wild.STAR)
        elif pattern[at] == "?":
            at += 1
            result.append("[^/]")
        elif pattern[at] == "[":
            expression, at = _class(pattern, at + 1)
            result.append(expression)
        else:
            character, at = _character(pattern, at)
            result.append(re.escape(character))
    # BuildKit compares this one case as a suffix, which need not begin at a slash.
    if pattern.startswith("**") and not _WILD.search(pattern[2:]) and pattern[2:3] != "/":
        result[0] = _Wild.ANYTHING
    return tuple(result)


def _character(pattern: str, at: int) -> tuple[str, int]:
    """Return the character at a position, which may be escaped, and the position after it."""
    if pattern[at : at + 1] == "\\":
        at += 1
    if at >= len(pattern):
        raise ValueError(f"ends too early: {pattern!r}")
    return pattern[at], at + 1


def _class(pattern: str, at: int) -> tuple[str, int]:
    """Return the expression of a class whose bracket was read, and the position after it.

    The grammar is that of Go's filepath.Match: not empty, `-` and `]` only with a backslash.
    """
    negated = pattern.startswith("^", at)
    at += negated
    items = ""
    while not pattern.startswith("]", at) or not items:
        if pattern[at : at + 1] in {"-", "]"}:
            raise ValueError(f"has {pattern[at]!r} in brackets without a backslash: {pattern!r}")
        low, at = _character(pattern, at)
        items += re.escape(low)
        if pattern.startswith("-", at):
            if pattern[at + 1 : at + 2] in {"-", "]"}:
                raise ValueError(f"has a range without an end: {pattern!r}")
            high, at = _character(pattern, at + 1)
            if high < low:
                raise ValueError(f"has a range from {low!r} down to {high!r}: {pattern!r}")
            items += f"-{re.escape(high)}"
    return f"[{'^' * negated}{items}]", at + 1


def _expression(token: _Token) -> str:
    return token.value if isinstance(token, _Wild) else token


def simulate(pattern: tuple[_Token, ...], path: str) -> bool:
    """Return whether a pattern matches a path or a folder above it, in linear time.

    All positions of the pattern that the path so far can have reached are followed at once.
    """
    characters = [None if isinstance(token, _Wild) else _compiled(token) for token in pattern]
    end = len(pattern)
    reached = set(_reachable(pattern, 0))
    for character in path:
        if end in reached and character == "/":
            return True
        following: set[int] = set()
        for at in reached - {end}:
            index = at if at >= 0 else ~at
            token, expression = pattern[index], characters[index]
            if expression is not None:
                if expression.fullmatch(character):
                    following |= set(_reachable(pattern, index + 1))
            elif token is _Wild.FOLDERS:
                following.add(~index)  # inside of it: only a slash leads out
                if character == "/":
                    following |= set(_reachable(pattern, index + 1))
            elif token is _Wild.ANYTHING or character != "/":
                following |= set(_reachable(pattern, index))
        reached = following
    return end in reached


def _reachable(pattern: tuple[_Token, ...], at: int) -> Iterator[int]:
    """Yield a position, and those after it that wildcards reach by matching nothing."""
    yield at
    while at < len(pattern) and isinstance(pattern[at], _Wild):
        at += 1
        yield at


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL)
