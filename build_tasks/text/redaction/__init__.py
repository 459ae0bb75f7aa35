"""Hide secrets in text before it is shown or kept.

Two things are hidden: values that are known to be secret (`known`), wherever they stand, and
values that look like one from what stands around them (`patterns`). Every line of a build comes
through here, so a line without a hint costs a few substring searches and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from build_tasks.text.redaction.names import SHAPES, is_secret_name

if TYPE_CHECKING:
    from build_tasks.text.redaction.known import KnownValues

__all__ = [
    "HIDDEN",
    "LONGEST",
    "Hide",
    "StreamFilter",
    "add_secret",
    "forget",
    "is_secret_name",
    "redact",
    "redact_known",
]

HIDDEN = "***"
#: Characters of one line that are kept.
LONGEST = 64 * 1024
#: Seconds that a line whose end has not come is held back.
HOLD = 0.2

#: Returns what is shown in place of a secret.
Hide = Callable[[str], str]

#: Substrings of a lower-case line without which no pattern can match.
_HINTS = (
    *("pass", "token", "secret", "key", "cred", "auth", "pwd", "@", "pat=", "pat:", '_pat"'),
    *("_pat ", "sig", "bearer", "basic ", "cookie", "identified by", "login", "mysql", "mariadb"),
    *("twine", "curl", "jwt", "sas", *SHAPES),
)
_known: list[KnownValues] = []


def redact(text: str) -> str:
    """Return a text without its secrets, and no line of it longer than LONGEST.

    Args:
        text: one line, or several.
    """
    return _redacted(_bounded(text), _stars)


def redact_known(text: str) -> str:
    """Return a text without the values that are known to be secret, and otherwise as it is."""
    return _values().hide(text, _stars)


def add_secret(value: str) -> None:
    """Hide a value from now on, wherever it stands.

    Args:
        value: a password or token that neither the environment nor a credentials file holds.
    """
    _values().add(value)


def forget() -> None:
    """Forget the known values; they are collected again from the environment when needed."""
    _known.clear()


class StreamFilter:
    """Hides secrets in a stream of bytes that is shown as it comes.

    Lines without a secret pass byte for byte. A line whose end has not come is held back for at
    most HOLD seconds.

    Args:
        same_width: replace each character of a secret by one, for displays that move the cursor.
    """

    def __init__(self, *, same_width: bool) -> None:
        self._hide = _same_width if same_width else _stars
        self._rest = b""
        self._since = 0.0

    def feed(self, chunk: bytes) -> bytes:
        """Return what can be shown now.

        Args:
            chunk: the next bytes, cut anywhere; none to ask whether a line has waited too long.
        """
        whole, newline, rest = (self._rest + chunk).rpartition(b"\n")
        now = time.monotonic()
        if newline or not self._rest:
            self._since = now
        self._rest = rest
        shown = self._redacted(whole) + newline if newline else b""
        if rest and (now - self._since >= HOLD or len(rest) > LONGEST):
            shown += self.end()
        return shown

    def end(self) -> bytes:
        """Return what was held back."""
        rest, self._rest = self._rest, b""
        return self._redacted(rest)

    def _redacted(self, data: bytes) -> bytes:
        text = data.decode(errors="surrogateescape")
        lines = (_redacted(line, self._hide) for line in text.split("\n"))
        return "\n".join(lines).encode(errors="surrogateescape")


def _redacted(text: str, hide: Hide) -> str:
    text = _values().hide(text, hide)
    low = text.lower()
    for hint in _HINTS:
        if hint in low:
            from build_tasks.text.redaction import patterns  # noqa: PLC0415 - start-up time

            return patterns.hide(text, hide)
    return text


def _values() -> KnownValues:
    if not _known:
        from build_tasks.text.redaction import known  # noqa: PLC0415 - it asks this module for names

        _known.append(known.collect())
    return _known[0]


def _bounded(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return "\n".join(
        f"{line[:LONGEST]}… ({len(line) - LONGEST} more characters)"
        if len(line) > LONGEST
        else line
        for line in text.split("\n")
    )


def _stars(_secret: str) -> str:
    return HIDDEN


def _same_width(secret: str) -> str:
    return "*" * len(secret)
