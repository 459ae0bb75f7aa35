from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tasks.context import ignore

NAME = st.text("ab.c", min_size=1, max_size=3).filter(lambda text: set(text) != {"."})
PATH = st.lists(NAME, min_size=1, max_size=4).map("/".join)
PATTERN = st.lists(st.sampled_from(["a", "b", "ab", "*", "**", "?", "a*"]), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("pattern", "meant", "not_meant"),
    [
        ("a", ["a", "a/b", "a/b/c"], ["b", "b/a", "ab"]),
        ("/a/", ["a", "a/b"], ["b/a"]),
        ("./a/../b", ["b", "b/c"], ["a"]),
        ("*", ["a", "a/b", ".x"], []),
        ("*.py", ["a.py", ".py"], ["a/b.py", "a.pyc"]),
        ("a/*", ["a/b", "a/b/c"], ["a"]),
        ("**/a", ["a", "b/a", "c/b/a/d"], ["ba", "c/ba"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("a/**/b", ["a/b", "a/x/y/b"], ["ab", "a/xb"]),
        ("**", ["a", "a/b"], []),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("[a-c]x", ["bx"], ["dx"]),
        ("[^a]x", ["bx"], ["ax"]),
        (r"\*", ["*"], ["a"]),
        ("a.b+(c)", ["a.b+(c)"], ["axb+(c)"]),
        ("a\nb", ["a\nb"], ["a"]),
    ],
)
def test_a_pattern_means(pattern: str, meant: list[str], not_meant: list[str]) -> None:
    patterns = ignore.parse([pattern])
    assert [path for path in [*meant, *not_meant] if patterns.match(path)] == meant


def test_the_last_pattern_that_matches_decides() -> None:
    patterns = ignore.parse(["# none", "", "*", "!a", "  a/b  ", "!a/b/c"])
    names = ("x", "a", "a/x", "a/b", "a/b/x", "a/b/c")
    assert [patterns.match(name) for name in names] == [True, False, False, True, True, False]


def test_a_folder_is_passed_over_only_if_nothing_below_it_can_be_meant() -> None:
    patterns = ignore.parse(["*", "!a/b/**", "c"])
    covered = [patterns.cover(name) for name in ("a", "a/b", "a/x", "c", ".venv", "ab")]
    assert covered == [False, False, True, True, True, True]
    assert not ignore.parse(["*", "!**/x"]).cover("a")


@pytest.mark.parametrize("pattern", ["[", "[b-a]"])
def test_what_is_no_pattern_is_said(pattern: str) -> None:
    with pytest.raises(ValueError, match="position"):
        ignore.parse([pattern])


@given(st.lists(PATTERN.map("/".join), max_size=3), PATTERN.map("/".join), PATH)
def test_nothing_is_meant_in_a_folder_that_is_passed_over(
    excluded: list[str], exception: str, path: str
) -> None:
    patterns = ignore.parse([*excluded, f"!{exception}"])
    for above in (path.rsplit("/", depth)[0] for depth in range(1, path.count("/") + 1)):
        assert not patterns.cover(above) or patterns.match(path)
