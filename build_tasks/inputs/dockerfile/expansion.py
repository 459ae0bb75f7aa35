"""Variables in the text of a Dockerfile."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: $NAME, ${NAME}, and ${NAME} with :- - :+ + (Dockerfile reference, "Environment replacement").
_VARIABLE = re.compile(
    r"\\(?P<escaped>.)|\$(?:(?P<plain>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-+?])(?P<word>(?:[^{}]|\{[^{}]*\})*))?\})"
)


def variables(text: str) -> tuple[str, ...]:
    """Return the names of the variables in a text, in order, each once."""
    names = (match["plain"] or match["name"] for match in _VARIABLE.finditer(text))
    return tuple(dict.fromkeys(name for name in names if name))


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace variables and remove quotes, as BuildKit does.

    Forms that are not understood, like `${NAME%%x}`, are left as they are.
    """
    parts = re.split(r"('[^']*')", text)
    return "".join(
        part[1:-1] if part.startswith("'") and len(part) > 1 else _replace(part, values)
        for part in parts
    )


def _replace(text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return match["escaped"]
        how, word = match["how"] or "", match["word"] or ""
        known = values.get(match["plain"] or match["name"])
        is_set = bool(known) if how.startswith(":") else known is not None
        if how.endswith("+"):
            return _replace(word, values) if is_set else ""
        if how.endswith("-") and not is_set:
            return _replace(word, values)
        return known or ""

    return _VARIABLE.sub(value, re.sub(r'(?<!\\)"', "", text))


def expand_heredoc(line: str, values: Mapping[str, str]) -> str:
    """Replace variables in a line of a heredoc, where quotes have no meaning."""
    parts = re.split("([\"'])", line)
    return "".join(part if part in {'"', "'"} else expand(part, values) for part in parts)
