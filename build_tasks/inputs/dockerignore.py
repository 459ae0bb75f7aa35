"""Match paths with the patterns of .dockerignore.

No library does: the patterns of .gitignore, which pathspec implements, are not anchored at the root
and have another meaning of `*`. BuildKit reads the file itself, too; matching here only avoids
copies of what BuildKit would leave out.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

#: The wildcards of any length, as regular expressions; `**` has two meanings.
_STAR = "[^/]*"
_FOLDERS = "(?:.*/)?"  # before something else: any number of whole folders
_ANYTHING = ".*"  # at the end, and at the beginning of a pattern without another wildcard
_WILDCARDS = {_STAR, _FOLDERS, _ANYTHING}
#: Wildcards that a pattern may have to be matched by a regular expression: each one may make it
#: backtrack over the whole path, so the time grows with this power of the path's length.
_BACKTRACKING = 2
_SPECIAL = re.compile(r"[*?\[\\]")
#: A character in brackets. As in Go's filepath.Match, `-` and `]` need a backslash.
_MEMBER = re.compile(r"\\.|[^\\\]-]", re.DOTALL)
_RANGE = rf"(?:{_MEMBER.pattern})(?:-(?:{_MEMBER.pattern}))?"
_TOKEN = re.compile(
    rf"(?P<folders>\*\*/?)|(?P<star>\*)|(?P<any>\?)|\[(?P<negated>\^?+)(?P<members>(?:{_RANGE})+)\]"
    r"|(?P<character>\\.|[^\\\[])",
    re.DOTALL,
)
#: The regular expressions of a pattern: one for each character or wildcard.
_Pattern = tuple[str, ...]


@dataclass(frozen=True)
class _Run:
    """Adjacent patterns that all match, or all except (`!`)."""

    matches: bool
    expression: re.Pattern[str]
    slow: tuple[_Pattern, ...] = ()

    def match(self, path: str) -> bool:
        """Return whether a path, or a folder above it, matches one of the patterns."""
        if self.expression.match(path):
            return True
        return bool(self.slow) and any(simulate(pattern, path) for pattern in self.slow)


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
        folder = path.rpartition("/")[0]  # thousands of files are in few folders
        if folder not in self._folders:
            self._folders[folder] = self._below(folder)
        runs, otherwise = self._folders[folder]
        for run in runs:
            if run.match(path):
                return run.matches
        return otherwise

    def _below(self, folder: str) -> tuple[list[_Run], bool]:
        """Return which patterns decide on a file of a folder, and what holds if none matches it.

        Those that match the folder match all in it.
        """
        runs: list[_Run] = []
        for run in reversed(self.runs):
            if folder and run.match(folder):
                return runs, run.matches
            runs.append(run)
        return runs, False

    @cached_property
    def _folders(self) -> dict[str, tuple[list[_Run], bool]]:
        return {}

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
    runs: list[tuple[bool, list[_Pattern]]] = []
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
            exceptions.append(_SPECIAL.split(pattern)[0])
        if not runs or runs[-1][0] != matches:
            runs.append((matches, []))
        runs[-1][1].append(tokens(pattern))
    return Patterns(tuple(_run(matches, patterns) for matches, patterns in runs), tuple(exceptions))


def _run(matches: bool, patterns: list[_Pattern]) -> _Run:
    slow = [p for p in patterns if sum(token in _WILDCARDS for token in p) > _BACKTRACKING]
    quick = [pattern for pattern in patterns if pattern not in slow]
    # What begins with any folders tries each folder of a path, so such patterns do it together.
    anywhere = "|".join("".join(pattern[1:]) for pattern in quick if pattern[:1] == (_FOLDERS,))
    joined = ["".join(pattern) for pattern in quick if pattern[:1] != (_FOLDERS,)]
    if anywhere:
        joined.append(f"{_FOLDERS}(?:{anywhere})")
    expression = "|".join(joined) or r"(?!)"  # never matches
    return _Run(matches, re.compile(rf"(?:{expression})(?:/.*)?\Z", re.DOTALL), tuple(slow))


def tokens(pattern: str) -> _Pattern:
    """Translate a cleaned pattern.

    Raises:
        ValueError: a class or an escape is invalid.
    """
    result = [""]
    at = 0
    while at < len(pattern):
        match = _TOKEN.match(pattern, at)
        if not match:
            raise ValueError(f"has an incomplete class or escape: {pattern[at:]!r}")
        at = match.end()
        if match["folders"]:
            expression = _FOLDERS if at < len(pattern) else _ANYTHING
        elif match["star"]:
            expression = _STAR
        elif match["any"]:
            expression = "[^/]"
        elif match["members"]:
            members = _MEMBER.sub(lambda member: re.escape(member[0][-1]), match["members"])
            expression = f"[{match['negated']}{members}]"
            try:
                re.compile(expression)
            except re.error as error:  # a range that goes down
                raise ValueError(f"has a {error.msg}") from None
        else:
            expression = re.escape(match["character"][-1])
        if expression not in _WILDCARDS or expression != result[-1]:  # twice is once
            result.append(expression)
    # BuildKit compares this one case as a suffix, which need not begin at a slash.
    if pattern.startswith("**") and not _SPECIAL.search(pattern[2:]) and pattern[2:3] != "/":
        result[1] = _ANYTHING
    return tuple(result[1:])


def simulate(pattern: _Pattern, path: str) -> bool:
    """Return whether a pattern matches a path or a folder above it, without backtracking.

    Each token leads from the positions in the path that those before it reach to further ones.
    """
    reached = {0}
    for token in pattern:
        if token == _STAR:
            for at in range(len(path)):
                if at in reached and path[at] != "/":
                    reached.add(at + 1)
        elif token in _WILDCARDS:
            beyond = range(min(reached, default=len(path)) + 1, len(path) + 1)
            reached |= {at for at in beyond if token == _ANYTHING or path[at - 1] == "/"}
        else:
            character = re.compile(token, re.DOTALL)
            reached = {at + 1 for at in reached if character.match(path, at)}
    return any(path[at : at + 1] in {"", "/"} for at in reached)
