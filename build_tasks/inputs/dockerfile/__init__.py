"""Parse a Dockerfile into instructions, each with its stage, its line and its heredocs.

Only what fingerprints and explanations need is parsed. `not_understood` lists instructions with
another meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

#: Instructions that are numbered in BuildKit's graph ("[main 2/9] RUN ...").
STEPS = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})
_KNOWN = STEPS | {
    *("ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
    *("SHELL", "STOPSIGNAL", "USER", "VOLUME"),
}
#: Parser directives are only valid at the top (Dockerfile reference, "Parser directives").
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*$")
#: A shell word with its quotes: `<<EOF` begins a heredoc only outside of quotes.
_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|\\$|"(?:[^"\\]|\\.)*"|'[^']*'|["'])+""")
#: BuildKit's own pattern (frontend/dockerfile/parser/parser.go, reHeredoc).
_HEREDOC = re.compile(r"(\d*)<<(-?)([^<]+)")
_STAGE = re.compile(r"(?i)^FROM\s+(?:--\S+\s+)*(?P<base>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*$")


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Args:
        stage: its stage, by BuildKit's name for it; empty before the first FROM.
        line: its first line, from 1.
        text: the instruction without comments, with continuation lines joined, then its heredocs
            as they are.
    """

    stage: str
    line: int
    text: str

    @property
    def word(self) -> str:
        """The keyword, like `RUN`."""
        return self.text.split(maxsplit=1)[0].upper()

    @property
    def head(self) -> str:
        """The instruction without its heredocs."""
        return self.text.partition("\n")[0]

    @property
    def body(self) -> list[str]:
        """The lines of the heredocs, with the lines that end them."""
        return self.text.split("\n")[1:]

    @property
    def rest(self) -> str:
        """The head without the keyword."""
        return [*self.head.split(maxsplit=1), ""][1].strip()

    @property
    def squeezed(self) -> tuple[str, str]:
        """The stage, and the text with single spaces."""
        return self.stage, " ".join(self.text.split())

    def __str__(self) -> str:
        """Return `STAGE LINE TEXT`, the form in records, which `read` parses."""
        return f"{self.stage} {self.line} {self.text}"


def read(text: str) -> Instruction:
    """Parse the form `STAGE LINE TEXT` of records.

    Raises:
        ValueError: the text has another form.
    """
    stage, line, instruction = text.split(" ", 2)
    if not instruction.strip():
        raise ValueError(text)
    return Instruction(stage, int(line), instruction)


@lru_cache(maxsize=8)  # all Pythons share one file
def parse(text: str) -> tuple[Instruction, ...]:
    """Parse a Dockerfile."""
    lines = text.removeprefix("\ufeff").removesuffix("\n").split("\n")  # as BuildKit does
    stage, stages, instructions = "", 0, []
    for number, joined, heredocs in _logical_lines(lines):
        word, rest = [*joined.split(maxsplit=1), ""][:2]
        whole = "\n".join((f"{word.upper()} {rest}".strip(), *heredocs))
        if word.upper() == "FROM":
            match = _STAGE.match(whole)
            stage = ((match and match["name"]) or f"stage-{stages}").lower()
            stages += 1
        instructions.append(Instruction(stage, number, whole))
    return tuple(instructions)


def not_understood(instructions: Sequence[Instruction]) -> tuple[str, ...]:
    """Return a line for each instruction whose meaning this package does not know."""
    return tuple(
        f"line {instruction.line}: {instruction.word} is not understood"
        for instruction in instructions
        if instruction.word not in _KNOWN
        or (instruction.word == "FROM" and not _STAGE.match(instruction.head))
    )


def carriage_return(instructions: Sequence[Instruction]) -> int:
    """Return the line of the first instruction whose heredocs have CRLF line ends, else 0.

    BuildKit drops carriage returns at the end of instructions, but not inside of heredocs.
    """
    return next(
        (instruction.line for instruction in instructions if "\r" in "".join(instruction.body)), 0
    )


def base(instruction: Instruction) -> str:
    """Return the image or stage of a FROM, with its variables."""
    match = _STAGE.match(instruction.head)
    return match["base"] if match else ""


def named(instruction: Instruction) -> bool:
    """Return whether a FROM names its stage."""
    match = _STAGE.match(instruction.head)
    return bool(match and match["name"])


def words(text: str) -> list[str]:
    """Split a text into shell words, which keep their quotes."""
    return _WORD.findall(text)


def pairs(instruction: Instruction) -> dict[str, str | None]:
    """Return the names that ARG, ENV or LABEL sets, with their values, which keep their quotes."""
    items = words(instruction.rest)
    if instruction.word == "ENV" and items and "=" not in items[0]:  # the old form: ENV NAME VALUE
        return {items[0]: instruction.rest.partition(items[0])[2].strip()}
    split = (item.partition("=") for item in items)
    return {name: value if equals else None for name, equals, value in split}


def declared(instructions: Iterable[Instruction]) -> frozenset[str]:
    """Return the names of a Dockerfile's arguments."""
    return frozenset(
        name
        for instruction in instructions
        if instruction.word == "ARG"
        for name in pairs(instruction)
    )


def flags(instruction: Instruction) -> tuple[list[tuple[str, str]], str]:
    """Return the flags of an instruction, like ("mount", "type=bind,source=a"), and the rest."""
    options, rest = [], instruction.rest
    for word in words(rest):
        if not word.startswith("--"):
            break
        name, _, value = word.removeprefix("--").partition("=")
        options.append((name, value))
        rest = rest.partition(word)[2].strip()
    return options, rest


def _escape(lines: Sequence[str]) -> str:
    for line in lines:
        directive = _DIRECTIVE.match(line)
        if not directive:
            break
        if directive[1].lower() == "escape":
            return directive[2]
    return "\\"


def _logical_lines(lines: Sequence[str]) -> Iterator[tuple[int, str, list[str]]]:
    """Yield each instruction's line, its text in one line, and the lines of its heredocs."""
    continuation = re.compile(rf"{re.escape(_escape(lines))}\s*$")
    numbered = enumerate(lines, 1)
    first, joined = 0, ""
    for number, raw in numbered:
        line = raw.rstrip("\r")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        first = first or number
        continued = continuation.search(line)
        joined += line[: continued.start()] if continued else line
        if continued and number < len(lines):
            continue
        text, start = joined.strip(), first
        first, joined = 0, ""
        heredocs = []
        for dash, name in _heredocs(text):
            for _, body in numbered:
                heredocs.append(body)
                if (body.lstrip("\t") if dash else body).rstrip("\r") == name:
                    break
        if text:
            yield start, text, heredocs


def _heredocs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the dash and the name of each heredoc of an instruction."""
    if re.match(r"(?i)(RUN|COPY|ADD)\s", text):
        for word in words(text):
            if match := _HEREDOC.fullmatch(word):
                yield match[2], match[3].strip("\"'")
