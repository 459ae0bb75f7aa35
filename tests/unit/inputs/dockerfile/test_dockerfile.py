"""Dockerfiles: what is read, and that nothing is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tasks.config.project import SHIPPED as ROOT
from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import Instruction
from build_tasks.model.matrix import ImageKind


def texts(text: str) -> list[str]:
    return [one.text for one in dockerfile.parse(text)]


@pytest.mark.parametrize("kind", ImageKind)
def test_the_projects_own_dockerfiles_are_understood(kind: ImageKind) -> None:
    text = (ROOT / kind.dockerfile).read_text(encoding="utf-8")
    instructions = dockerfile.parse(text)
    assert not dockerfile.not_understood(instructions)
    lines = text.splitlines()
    for one in instructions:
        assert lines[one.line - 1].startswith(one.word)
    assert instructions[-1].word == "ENV"
    assert {one.stage for one in instructions} >= {"", "main"}


def test_only_line_feeds_end_lines() -> None:
    assert texts("FROM a\x0c\nRUN echo \u2028\x0b\x85 b\nRUN c") == [
        "FROM a",
        "RUN echo \u2028\x0b\x85 b",
        "RUN c",
    ]


def test_windows_line_ends_stay_in_heredocs_and_there_alone() -> None:
    """Seen on BuildKit 0.25: the shell gets them."""
    text = "FROM a\r\nRUN b \\\r\n  c\r\nRUN <<EOF\r\nd\r\n\r\nEOF\r\nCMD e\r\n"
    assert texts(text) == ["FROM a", "RUN b   c", "RUN <<EOF\nd\r\n\r\nEOF\r", "CMD e"]
    assert dockerfile.carriage_return(dockerfile.parse(text)) == 4
    assert dockerfile.carriage_return(dockerfile.parse(text.replace("\r", ""))) == 0
    assert dockerfile.carriage_return(dockerfile.parse("FROM a\r\nRUN b\r\n")) == 0


@pytest.mark.parametrize("kind", ImageKind)
def test_a_record_keeps_instructions_as_they_are(kind: ImageKind) -> None:
    instructions = dockerfile.parse((ROOT / kind.dockerfile).read_text(encoding="utf-8"))
    assert tuple(dockerfile.read(str(one)) for one in instructions) == instructions


@pytest.mark.parametrize("kept", ["", "main", "main 1", "main one RUN true", "main 1  "])
def test_an_invalid_recorded_instruction_is_refused(kept: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        dockerfile.read(kept)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from a\nrun true", ["FROM a", "RUN true"]),
        ("FROM a\n# RUN no\n  # nor this\n\nRUN yes", ["FROM a", "RUN yes"]),
        ("RUN a \\\n  b\\\nc", ["RUN a   bc"]),
        ("RUN a \\\n# comment\n\n  b", ["RUN a   b"]),
        ("RUN a \\   \n b", ["RUN a  b"]),
        ("# escape=`\nRUN a `\n b \\", ["RUN a  b \\"]),
        ("# syntax=x\n# escape=`\nRUN a `\n b", ["RUN a  b"]),
        ("# a comment\n# escape=`\nRUN a `", ["RUN a `"]),
        ("RUN <<EOF\n# kept\n\na \\\nEOF\nRUN b", ["RUN <<EOF\n# kept\n\na \\\nEOF", "RUN b"]),
        ("RUN <<-EOF\n\ta\n\tEOF\nRUN b", ["RUN <<-EOF\n\ta\n\tEOF", "RUN b"]),
        ("COPY <<A <<'B' /x/\n1\nA\n2\nB\nCMD a", ["COPY <<A <<'B' /x/\n1\nA\n2\nB", "CMD a"]),
        ("RUN echo '<<EOF'\nRUN b", ["RUN echo '<<EOF'", "RUN b"]),
        ("RUN cat <<< word\nRUN b", ["RUN cat <<< word", "RUN b"]),
        ("ENV A=<<EOF\nRUN b", ["ENV A=<<EOF", "RUN b"]),
        ("RUN <<EOF\nnever ends", ["RUN <<EOF\nnever ends"]),
        ("RUN a \\", ["RUN a"]),
        ("\ufeffFROM a", ["FROM a"]),
        ("RUN\tx", ["RUN x"]),
        ("", []),
    ],
)
def test_instructions_are_parsed_as_by_buildkit(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_lines_and_stages_are_those_of_the_file() -> None:
    text = "ARG A\n\nFROM x\nRUN \\\n a\nFROM y AS Last\nRUN <<E\n1\nE\nRUN b"
    assert [(one.stage, one.line) for one in dockerfile.parse(text)] == [
        ("", 1),
        ("stage-0", 3),
        ("stage-0", 4),
        ("last", 6),
        ("last", 7),
        ("last", 10),
    ]


def test_unknown_instructions_are_listed_with_their_lines() -> None:
    found = dockerfile.parse("FROM a b c\nONBUILD RUN x\nRUNN y")
    assert dockerfile.not_understood(found) == (
        "line 1: FROM is not understood",
        "line 2: ONBUILD is not understood",
        "line 3: RUNN is not understood",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ARG A", {"A": None}),
        ("ARG A= B=2", {"A": "", "B": "2"}),
        ("ENV A=\"x y\" B='$Z'", {"A": '"x y"', "B": "'$Z'"}),
        ("ENV A x y", {"A": "x y"}),
        ("ENV A=${B:-x}", {"A": "${B:-x}"}),
    ],
)
def test_names_and_values_of_arg_and_env(text: str, expected: dict[str, str | None]) -> None:
    assert dockerfile.pairs(Instruction("main", 1, text)) == expected


WORDS = st.text("abc$={}<>'\"_./-", min_size=1, max_size=8)
COMMANDS = st.lists(WORDS, min_size=1, max_size=4)
HEREDOC = st.lists(st.text("ab #\\$", max_size=6).filter(lambda line: line != "EOF"), max_size=3)


@given(st.lists(st.tuples(COMMANDS, st.none() | HEREDOC, st.booleans()), max_size=5))
def test_comments_and_broken_lines_change_no_instruction(
    commands: list[tuple[list[str], list[str] | None, bool]],
) -> None:
    plain, odd, expected = ["FROM x"], ["# first", "", "FROM x"], ["FROM x"]
    for command, heredoc, split in commands:
        # A heredoc of another name would swallow the rest, as it does for BuildKit.
        wanted = [word for word in command if "<<" not in word and not set(word) & set("'\"")]
        if not wanted:
            continue
        body = [] if heredoc is None else [*heredoc, "EOF"]
        wanted += [] if heredoc is None else ["<<EOF"]
        text = "RUN " + " ".join(wanted)
        plain += [text, *body]
        broken = text.replace(" ", " \\\n# a comment\n", 1) if split else text
        odd += ["  # another", *broken.split("\n"), *body, ""]
        expected.append("\n".join([text, *body]))
    assert texts("\n".join(plain)) == expected
    assert texts("\n".join(odd)) == expected
