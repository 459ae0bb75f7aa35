"""Escaping of other programs' text."""

from __future__ import annotations

import time
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tasks.errors import StepError
from build_tasks.text import escaping

TITLE = "\x1b]0;owned\x07"
CLIPBOARD = "\x1b]52;c;cm0gLXJmIC8=\x1b\\"
LINK = "\x1b]8;;https://e.example\x1b\\here\x1b]8;;\x1b\\"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"a{TITLE}b{CLIPBOARD}c", "abc"),
        (LINK, "here"),
        ("\x1b[1;31mred\x1b[0m \x1b[2J\x1b[?1049h", "red "),
        ("\x9b31mred \x9d0;title\x9cx\x90q\x9c", "red x"),
        ("\x1b(B\x1bc\x1b7x", "x"),
        ("\x1b]0;no end", "0;no end"),
        ("10%\r20%\a\b\x7f", "10%20%"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\u202etxt.exe\u2066", "txt.exe"),
        ("\udcff.txt", "\ufffd.txt"),
        ("äöü 漢字 🐍 pandas[excel] [/b]", "äöü 漢字 🐍 pandas[excel] [/b]"),
    ],
)
def test_escape_sequences_are_removed(text: str, shown: str) -> None:
    assert escaping.plain(text) == shown


@given(st.text(alphabet=st.sampled_from("\x1b[]P\\0;m\x07\x9b\x9c\x9d\na")))
def test_no_escape_sequence_is_left(text: str) -> None:
    assert not {*escaping.plain(text)} & {*"\x1b\x07\x9b\x9c\x9d"}


@pytest.mark.parametrize(
    "unit", ["\x1b]", "\x9d", "\x1b[", "\x9b1", "\x1b(", "##", "\n ", "\x1bP0"]
)
def test_escaping_takes_linear_time(unit: str) -> None:
    def took(times: int) -> float:
        text = unit * times
        began = time.process_time()
        escaping.terminal(text)
        return time.process_time() - began

    took(1000)
    assert took(160_000) < 40 * max(took(10_000), 0.001)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::no", "\\::error::no"),
        ("a\n  ::set-output name=x::y", "a\n\\  ::set-output name=x::y"),
        ("\x1b[0m::add-mask::x", "\\::add-mask::x"),
        ("a ##[group]x ##vso[task.setvariable]y", "a # #[group]x # #vso[task.setvariable]y"),
        ("std::string ## heading", "std::string ## heading"),
    ],
)
def test_commands_of_ci_systems_are_escaped(text: str, shown: str) -> None:
    assert escaping.terminal(text) == shown
    assert str(StepError(text)) == shown


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_valid_xml(text: str) -> None:
    element = ET.Element("a", b=escaping.plain(text))
    element.text = escaping.plain(text)
    ET.fromstring(ET.tostring(element, encoding="unicode").encode())  # noqa: S314 - our own


@given(st.text())
def test_markdown_punctuation_becomes_entities(text: str) -> None:
    assert not {*escaping.markdown(text)} & {*"<>|`*_[]\n\"'\\~!"}


def test_workflow_commands_have_their_own_escapes() -> None:
    assert escaping.github_data("50%\r\n::warning::x") == "50%25%0A::warning::x"
    assert escaping.github_property("a:b,c%") == "a%3Ab%2Cc%25"
