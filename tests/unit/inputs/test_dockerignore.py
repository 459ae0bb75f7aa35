from __future__ import annotations

import posixpath
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from build_tasks.inputs import dockerignore

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
def test_a_pattern_matches(pattern: str, meant: list[str], not_meant: list[str]) -> None:
    patterns = dockerignore.parse([pattern])
    assert [path for path in [*meant, *not_meant] if patterns.match(path)] == meant


def test_the_last_pattern_that_matches_decides() -> None:
    patterns = dockerignore.parse(["# none", "", "*", "!a", "  a/b  ", "!a/b/c"])
    names = ("x", "a", "a/x", "a/b", "a/b/x", "a/b/c")
    assert [patterns.match(name) for name in names] == [True, False, False, True, True, False]


@given(
    st.lists(st.tuples(st.sampled_from(["", "!"]), PATTERN.map("/".join)), max_size=6),
    st.lists(PATH, min_size=2, max_size=8),
)
def test_many_patterns_and_paths_match_as_each_alone(
    lines: list[tuple[str, str]], paths: list[str]
) -> None:
    together = dockerignore.parse(sign + pattern for sign, pattern in lines)
    for path in paths:
        found = [sign for sign, pattern in lines if dockerignore.parse([pattern]).match(path)]
        assert together.match(path) is (found[-1:] == [""])


def test_a_folder_is_covered_only_if_no_exception_is_below() -> None:
    patterns = dockerignore.parse(["*", "!a/b/**", "c"])
    covered = [patterns.cover(name) for name in ("a", "a/b", "a/x", "c", ".venv", "ab")]
    assert covered == [False, False, True, True, True, True]
    assert not dockerignore.parse(["*", "!**/x"]).cover("a")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        *((pattern, "incomplete class") for pattern in ("[", "[^", "[^]", "[^bc", "a[", r"[\\")),
        *((pattern, "incomplete class") for pattern in ("[]a]", "[-]", "[-x]", "[a-b-c]")),
        *((pattern, "class or escape") for pattern in ("[x-]", "[x--]", "\\", "[]")),
        ("[b-a]", "has a bad character range b-a"),
        ("!", "has nothing after '!'"),
    ],
)
def test_an_invalid_pattern_has_a_reason(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        dockerignore.parse([pattern])


#: Cases of moby/patternmatcher's own tests, and of Go's filepath.Match, as one text a line.
MOBY = r"""
** file               | ** dir/file            | **/ file              | **/** dir/file
dir/** dir/file       | dir/** dir/dir2/file   | **/dir dir            | **/dir dir/file
**/dir2/* dir/dir2/f  | **/dir2/** d/dir2/e/f  | **file file           | **file dir/file
**file dir/afile      | **/file* d/d/file.txt  | **/f*.txt* d/file.txt | **/**/*.txt file.txt
a**/*.txt a/file.txt  | a**/*.txt a/d/d/f.txt  | a/*.txt** a/file.txt  | a[b-d]e ace
a[^b-d]e aze          | .* .foo                | abc?def abcZdef       | **/foo/bar d/d/foo/bar
abc/** abc/def/ghi    | a(b)c/d a(b)c/d        | a.|)$(}+{bc a.|)$(}+{bc | a\\ a\
a* ab/c               | a*b*c*d*e*/f axbxcxdxexxx/f | a*b?c*x abxbbxdbxebxczzx | a?b a☺b
[a-ω]* ψ              | [\]a] ]                | [x\-] -               | *x xxx
"""
NOT_MOBY = r"""
**/**/*.txt2 d/f.txt  | a/*.txt a/dir/f.txt    | a[b-d]e aae           | a[b-d]e ae
abc.def abcZdef       | abc?def abcdef         | abc/** abc            | **/.foo bar.foo
a(b)c/def a(b)c/xyz   | a*/b a/c/b             | a*b?c*x abxbbxdbxebxczzy
a???b a☺b             | *[a-ω] A               | a?b a/b               | [\-x] a
**/dir ddir           | **file filed           | a\*b axb             | **/a**b a/xab
"""


def cases(text: str) -> list[tuple[str, str]]:
    found = [case.split() for line in text.strip().splitlines() for case in line.split(" | ")]
    return [(pattern, path) for pattern, path in found]


@pytest.mark.parametrize(("pattern", "path"), cases(MOBY))
def test_a_pattern_matches_what_docker_matches(pattern: str, path: str) -> None:
    assert dockerignore.parse([pattern]).match(path)
    assert dockerignore.simulate(dockerignore.tokens(posixpath.normpath(pattern)), path)


@pytest.mark.parametrize(("pattern", "path"), cases(NOT_MOBY))
def test_a_pattern_matches_nothing_else(pattern: str, path: str) -> None:
    assert not dockerignore.parse([pattern]).match(path)
    assert not dockerignore.simulate(dockerignore.tokens(posixpath.normpath(pattern)), path)


#: All that a pattern can hold, often enough to make Python's own matching backtrack without end.
PARTS = ["a", "b", "*", "**", "**/", "/", "?", "[ab]", "[^a]", r"\*", "a*"]
HOSTILE = st.lists(st.sampled_from(PARTS), max_size=40).map("".join)
LONG = st.lists(st.sampled_from(["a", "b", "a/", "ab/", "*"]), min_size=1, max_size=30).map("".join)


@given(st.lists(st.sampled_from(["a", "b", "*", "**", "/", "?", "[^a]"]), max_size=6), LONG)
def test_both_ways_of_matching_agree(parts: list[str], path: str) -> None:
    pattern = dockerignore.tokens("".join(parts))
    whole = "".join(pattern)
    expected = re.compile(rf"(?:{whole})(?:/.*)?\Z", re.DOTALL).match(path)
    assert dockerignore.simulate(pattern, path) is bool(expected)


@settings(deadline=2000)  # per match, on a busy machine: without the bound some take years
@given(HOSTILE, LONG)
@example("a*" * 100 + "b", "a" * 255)
@example("**/" * 8 + "x", "a/" * 2000 + "b")
@example("**/a/" * 8 + "x", "a/" * 2000 + "b")
@example("**/*/" * 8 + "x", "aa/" * 1300 + "b")
@example("a**b**c**d**e**", "abcd" * 1000)
def test_no_pattern_takes_long(pattern: str, path: str) -> None:
    dockerignore.parse([pattern]).match(path)


@given(st.lists(PATTERN.map("/".join), max_size=3), PATTERN.map("/".join), PATH)
def test_nothing_matches_in_a_covered_folder(
    excluded: list[str], exception: str, path: str
) -> None:
    patterns = dockerignore.parse([*excluded, f"!{exception}"])
    for above in (path.rsplit("/", depth)[0] for depth in range(1, path.count("/") + 1)):
        assert not patterns.cover(above) or patterns.match(path)
