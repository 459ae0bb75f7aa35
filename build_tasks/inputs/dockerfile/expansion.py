"""Variables in the text of a Dockerfile, and what stands there when they are replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: The forms that BuildKit knows and this one does: $NAME, ${NAME}, and with :- - :+ + (Dockerfile
#: reference, "Environment replacement").
_VARIABLE = re.compile(
    r"\\(?P<escaped>.)|\$(?:(?P<plain>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-+?])(?P<word>(?:[^{}]|\{[^{}]*\})*))?\})"
)


def variables(text: str) -> tuple[str, ...]:
    """Return the names of the variables that stand in a text, in order, each once."""
    found = (one["plain"] or one["name"] for one in _VARIABLE.finditer(text))
    return tuple(dict.fromkeys(name for name in found if name))


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its variables replaced and its quotes taken off, as BuildKit does it.

    A form that is not understood, like `${NAME%%x}`, stays as it stands.
    """
    parts = re.split(r"('[^']*')", text)
    return "".join(
        part[1:-1] if part.startswith("'") and len(part) > 1 else _replaced(part, values)
        for part in parts
    )


def _replaced(text: str, values: Mapping[str, str]) -> str:
    def one(found: re.Match[str]) -> str:
        if found["escaped"]:
            return found["escaped"]
        name, how, word = found["plain"] or found["name"], found["how"] or "", found["word"] or ""
        value = values.get(name)
        there = bool(value) if how.startswith(":") else value is not None
        if how.endswith("+"):
            return _replaced(word, values) if there else ""
        if how.endswith("-") and not there:
            return _replaced(word, values)
        return value or ""

    return _VARIABLE.sub(one, re.sub(r'(?<!\\)"', "", text))
