"""A Dockerfile as instructions, each with its stage, its line and its heredocs; nothing is run.

Only what explaining a build needs is read. What BuildKit takes and this does not is said by
`not_understood`, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

#: What makes a vertex with a number of its own ("[main 2/9] RUN ...") in BuildKit's graph.
STEPS = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})
_KNOWN = STEPS | {
    *("ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
    *("SHELL", "STOPSIGNAL", "USER", "VOLUME"),
}
#: Parser directives may only stand at the top (Dockerfile reference, "Parser directives").
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*$")
_COMMENT = re.compile(r"\s*#")
#: A word of a shell, with its quotes: only outside of quotes does `<<EOF` begin a heredoc.
_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|\\$|"(?:[^"\\]|\\.)*"|'[^']*'|["'])+""")
#: BuildKit's own pattern (frontend/dockerfile/parser/parser.go, reHeredoc).
_HEREDOC = re.compile(r"(\d*)<<(-?)([^<]+)")
_STAGE = re.compile(r"(?i)^FROM\s+(?:--\S+\s+)*(?P<base>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*$")


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Args:
        stage: the stage that it belongs to, as BuildKit calls it; empty before the first FROM.
        line: the line on which it begins, from 1.
        text: the instruction with its continuation lines joined and without comments, then its
            heredocs as they stand.
    """

    stage: str
    line: int
    text: str

    @property
    def word(self) -> str:
        """What it is, like `RUN`."""
        return self.text.split(maxsplit=1)[0].upper()

    @property
    def head(self) -> str:
        """The instruction without its heredocs."""
        return self.text.partition("\n")[0]

    @property
    def rest(self) -> str:
        """The head without the first word."""
        return [*self.head.split(maxsplit=1), ""][1].strip()

    @property
    def squeezed(self) -> tuple[str, str]:
        """The stage, and the text with single spaces."""
        return self.stage, " ".join(self.text.split())

    def __str__(self) -> str:
        """Return `STAGE LINE TEXT`, as records keep it and `read` reads it."""
        return f"{self.stage} {self.line} {self.text}"


def read(kept: str) -> Instruction:
    """Return the instruction that a record keeps as `STAGE LINE TEXT`.

    Raises:
        ValueError: it is none.
    """
    stage, line, text = kept.split(" ", 2)
    if not text.strip():
        raise ValueError(kept)
    return Instruction(stage, int(line), text)


@lru_cache(maxsize=8)  # one file makes the images of all Pythons
def parse(text: str) -> tuple[Instruction, ...]:
    """Return the instructions of a Dockerfile, in order.

    Args:
        text: the whole file.
    """
    lines = text.removeprefix("\ufeff").removesuffix("\n").split("\n")  # as BuildKit splits
    escape = _escape(lines)
    stage, stages, result = "", 0, []
    for number, joined, heredocs in _logical(lines, escape):
        word, rest = [*joined.split(maxsplit=1), ""][:2]
        one = "\n".join((f"{word.upper()} {rest}".strip(), *heredocs))
        if word.upper() == "FROM":
            named = _STAGE.match(one)
            stage = ((named and named["name"]) or f"stage-{stages}").lower()
            stages += 1
        result.append(Instruction(stage, number, one))
    return tuple(result)


def not_understood(instructions: Sequence[Instruction]) -> tuple[str, ...]:
    """Return what of a Dockerfile has a meaning that this module does not know, one line each."""
    return tuple(
        f"line {one.line}: {one.word} is not understood"
        for one in instructions
        if one.word not in _KNOWN or (one.word == "FROM" and not _STAGE.match(one.head))
    )


def carriage_return(instructions: Sequence[Instruction]) -> int:
    """Return the line of the first instruction whose heredocs have Windows line ends, 0 for none.

    BuildKit drops them where an instruction ends, and keeps them in what a heredoc holds.
    """
    return next((one.line for one in instructions if "\r" in one.text.partition("\n")[2]), 0)


def base(instruction: Instruction) -> str:
    """Return what a FROM begins with: an image or a stage, its variables as they stand."""
    found = _STAGE.match(instruction.head)
    return found["base"] if found else ""


def words(text: str) -> list[str]:
    """Return the words of a text, quotes and all."""
    return _WORD.findall(text)


def pairs(instruction: Instruction) -> dict[str, str | None]:
    """Return the names that ARG or ENV sets, with their values as they stand, quotes and all."""
    given = words(instruction.rest)
    if instruction.word == "ENV" and given and "=" not in given[0]:  # the old form: ENV NAME VALUE
        return {given[0]: instruction.rest.partition(given[0])[2].strip()}
    split = (one.partition("=") for one in given)
    return {name: value if equals else None for name, equals, value in split}


def declared(instructions: Iterable[Instruction]) -> frozenset[str]:
    """Return the names of a Dockerfile's arguments."""
    found = (one for one in instructions if one.word == "ARG")
    return frozenset(name for one in found for name in pairs(one))


def flags(instruction: Instruction) -> list[tuple[str, str]]:
    """Return the leading options of an instruction, like ("mount", "type=bind,source=a")."""
    found = []
    for word in words(instruction.rest):
        if not word.startswith("--"):
            break
        name, _, value = word.removeprefix("--").partition("=")
        found.append((name, value))
    return found


def after_flags(instruction: Instruction) -> str:
    """Return what stands after the flags of an instruction, in its first line."""
    rest = instruction.rest
    for word in words(rest):
        if not word.startswith("--"):
            break
        rest = rest.partition(word)[2].strip()
    return rest


def _escape(lines: Sequence[str]) -> str:
    for line in lines:
        found = _DIRECTIVE.match(line)
        if not found:
            break
        if found[1].lower() == "escape":
            return found[2]
    return "\\"


def _logical(lines: Sequence[str], escape: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield each instruction's line, its text in one line, and the lines of its heredocs."""
    ends = re.compile(rf"{re.escape(escape)}\s*$")
    at, begun, joined = 0, 0, ""
    while at < len(lines):
        line = lines[at].rstrip("\r")
        at += 1
        if _COMMENT.match(line) or not line.strip():
            continue
        begun = begun or at
        goes_on = ends.search(line)
        joined += line[: goes_on.start()] if goes_on else line
        if goes_on and at < len(lines):
            continue
        # An instruction whose last line promises another one ends with the file.
        text, first, heredocs = joined.strip(), begun, []
        begun, joined = 0, ""
        for dash, name in _heredocs(text):
            while at < len(lines):
                body = lines[at]
                at += 1
                heredocs.append(body)
                if (body.lstrip("\t") if dash else body).rstrip("\r") == name:
                    break
        yield first, text, heredocs


def _heredocs(text: str) -> Iterator[tuple[str, str]]:
    if text.split(maxsplit=1)[0].upper() in {"RUN", "COPY", "ADD"}:
        for word in words(text):
            found = _HEREDOC.fullmatch(word)
            if found:
                yield found[2], found[3].strip("\"'")
