"""The patterns of .dockerignore, which say which paths of a folder are meant.

No library has them: those of .gitignore, which pathspec reads, are not bound to the root and mean
something else by `*`. BuildKit still reads the file itself; this only spares what it would refuse.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache

_WILD = re.compile(r"[*?\[\\]")
#: Wildcards of one pattern that Python's regular expressions are trusted with: each one may make
#: them backtrack over the whole path, so that their time grows with this power of its length.
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
    """Patterns that stand together and say the same: what matches is meant, or is not."""

    meant: bool
    expression: re.Pattern[str]
    slow: tuple[tuple[_Token, ...], ...] = ()

    def match(self, path: str) -> bool:
        """Return whether a path, or a folder above it, matches one of the patterns."""
        return bool(self.expression.match(path)) or any(simulate(one, path) for one in self.slow)


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
        return next((run.meant for run in reversed(self.runs) if run.match(path)), False)

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
        ValueError: a pattern is invalid.
    """
    runs: list[tuple[bool, list[tuple[_Token, ...]]]] = []
    exceptions = []
    for line in lines:
        pattern = line.strip()
        if not pattern or line.startswith("#"):
            continue
        meant = not pattern.startswith("!")
        if pattern == "!":
            raise ValueError("has nothing after '!'")
        pattern = posixpath.normpath(pattern.removeprefix("!").strip()).lstrip("/")
        if not meant:
            exceptions.append(_WILD.split(pattern)[0])
        if not runs or runs[-1][0] != meant:
            runs.append((meant, []))
        runs[-1][1].append(tokens(pattern))
    return Patterns(tuple(_run(meant, patterns) for meant, patterns in runs), tuple(exceptions))


def _run(meant: bool, patterns: list[tuple[_Token, ...]]) -> _Run:
    quick: list[tuple[_Token, ...]] = []
    slow: list[tuple[_Token, ...]] = []
    for pattern in patterns:
        wild = sum(isinstance(token, _Wild) for token in pattern)
        (quick if wild <= _BACKTRACKING else slow).append(pattern)
    expressions = ("".join(_expression(token) for token in pattern) for pattern in quick)
    joined = "|".join(expressions) if quick else r"(?!)"  # never
    return _Run(meant, re.compile(rf"(?:{joined})(?:/.*)?\Z", re.DOTALL), tuple(slow))


def tokens(pattern: str) -> tuple[_Token, ...]:
    """Return a cleaned pattern as wildcards and expressions of single characters.

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
    # The one case that BuildKit compares as a suffix, which need not begin at a slash.
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
    """Return whether a pattern matches a path or a folder above it, in time linear in its length.

    All positions of the pattern that the path so far can have reached are followed at once.

    Args:
        pattern: its tokens.
        path: the path.
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
    """Yield a position, and those that are reached from it by wildcards which match nothing."""
    yield at
    while at < len(pattern) and isinstance(pattern[at], _Wild):
        at += 1
        yield at


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL)
