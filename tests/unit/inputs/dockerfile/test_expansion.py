"""Variables in Dockerfiles."""

from __future__ import annotations

import pytest

from build_tasks.inputs.dockerfile.expansion import expand, variables


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A", "1"),
        ("${A}b", "1b"),
        ("$NONE.", "."),
        ("${NONE:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${A:+set}", "set"),
        ("${NONE:+set}", ""),
        ("${EMPTY+set}", "set"),
        ("${NONE:-${A}}", "1"),
        ("'$A'", "$A"),
        ('"$A"', "1"),
        (r"\$A", "$A"),
        ("${A%%x}", "${A%%x}"),
        ("a'", "a'"),
    ],
)
def test_variables_are_replaced_as_buildkit_does(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "EMPTY": ""}) == expected


def test_the_variables_of_a_text_are_known_by_name() -> None:
    assert variables(r"$A ${B:-x} \$C ${A} d") == ("A", "B")
