"""The parser against BuildKit's own grammar, which the package `dockerfile` wraps.

The package has no wheel for Linux on arm64, so the suite itself cannot depend on it.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from edits import EDITS

from build_tasks.config.project import SHIPPED as ROOT
from build_tasks.inputs import dockerfile

grammar = pytest.importorskip("dockerfile")

CORPUS = {
    **{
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in (ROOT, *(ROOT / "benchmarks").iterdir())
        for path in path.glob("Dockerfile*")
    },
    **{edit.name: edit.dockerfile() for edit in EDITS if edit.replaced},
    "escape": "# escape=`\nFROM a `\n # c\n as B\nRUN a `\n b\n",
    "no-directive": "# a comment\n# escape=`\nFROM a\nRUN a `\n",
    "comments": "FROM a\n# RUN no\n  # nor this\n\nRUN a \\\n# comment\n\n  b\n",
    "spaces": "FROM a\nRUN\tx  y \\   \n b\n  run --network=none\t z\n",
    "heredocs": "FROM a\nCOPY <<A <<'B' /x/\n1\nA\n2\nB\nRUN <<-EOF\n\ta\n\tEOF\n",
    "here-string": "FROM a\nRUN cat <<< word\n",
    "kept": "FROM a\nRUN <<EOF\n# kept\n\na \\\nEOF\nRUN echo '<<EOF'\nENV A=<<EOF\n",
    "crlf": "FROM a\r\nRUN b \\\r\n  c\r\nCMD e\r\n",
    "bom": "\ufeffFROM a\nRUN b\n",
    "flags": "FROM --platform=x a\nCOPY --link --chmod=755 a b /c/\nRUN --mount=target=/a b\n",
    "quotes": 'FROM a\nENV A="x y" B=\'$Z\' C=a\\ b\nLABEL "a b"=c\nCOPY ["a b", "c"]\n',
}


@pytest.mark.parametrize("name", CORPUS)
def test_instructions_are_those_of_buildkits_grammar(name: str) -> None:
    text = CORPUS[name]
    own = dockerfile.parse(text)
    commands = grammar.parse_string(text.removeprefix("\ufeff"))
    assert [(one.word, one.line) for one in own] == [
        (command.cmd.upper(), command.start_line) for command in commands
    ]
    for one, command in zip(own, commands, strict=True):
        head = command.original.partition("\n")[0] if command.heredocs else command.original
        assert one.rest.split() == re.sub(r"^\S+\s*", "", head).split()
        flags = tuple(f"--{flag}={value}".rstrip("=") for flag, value in dockerfile.flags(one)[0])
        assert flags == command.flags
        bodies = [line for heredoc in command.heredocs for line in _lines(heredoc)]
        assert [line.strip("\t") for line in one.body] == bodies


def _lines(heredoc: Any) -> list[str]:
    return [*heredoc.content.replace("\t", "").split("\n")[:-1], heredoc.name]
