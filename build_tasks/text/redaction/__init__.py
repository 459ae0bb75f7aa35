"""Hide secrets in text before it is shown or stored.

Two kinds are hidden: known values of the environment and of credentials files (`known`), and what
looks like a secret (`patterns`). Every line of a build comes through here, so a line without a
hint costs a few substring searches.
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
#: Characters of a line that are kept.
LONGEST = 64 * 1024
#: Seconds that an incomplete line is held back.
HOLD = 0.2

#: Returns the replacement of a secret.
Hide = Callable[[str], str]

#: Substrings in lower case; without one of them, a line matches no pattern.
_HINTS = (
    *("pass", "token", "secret", "key", "cred", "auth", "pwd", "@", "pat=", "pat:", '_pat"'),
    *("_pat ", "sig", "bearer", "basic ", "cookie", "identified by", "login", "mysql", "mariadb"),
    *("twine", "curl", "jwt", "sas", *SHAPES),
)
#: The known values, once they are collected.
_known: list[KnownValues] = []


def redact(text: str) -> str:
    """Return lines without secrets, each cut at LONGEST characters."""
    return _redacted(_cut(text), _stars)


def redact_known(text: str) -> str:
    """Return a text without known values, but with what looks like a secret."""
    return _values().hide(text, _stars)


def add_secret(value: str) -> None:
    """Hide a value that is in neither the environment nor a credentials file."""
    _values().add(value)


def forget() -> None:
    """Forget the known values, to collect them again from the environment when needed."""
    _known.clear()


class StreamFilter:
    """Hides secrets in a stream of bytes; lines without a secret pass unchanged.

    An incomplete line is held back for at most HOLD seconds.

    Args:
        same_width: keep the width of secrets, for displays that move the cursor.
    """

    def __init__(self, *, same_width: bool) -> None:
        self._hide = _same_width if same_width else _stars
        self._rest = b""
        self._since = 0.0

    def feed(self, chunk: bytes) -> bytes:
        """Return what can be shown after the next bytes; no bytes ask for a late line."""
        complete, newline, rest = (self._rest + chunk).rpartition(b"\n")
        now = time.monotonic()
        if newline or not self._rest:
            self._since = now
        self._rest = rest
        shown = self._redacted(complete) + newline if newline else b""
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
    if any(hint in low for hint in _HINTS):
        from build_tasks.text.redaction import patterns  # noqa: PLC0415 - start-up time

        return patterns.hide(text, hide)
    return text


def _values() -> KnownValues:
    if not _known:
        from build_tasks.text.redaction import known  # noqa: PLC0415 - start-up time

        _known.append(known.collect())
    return _known[0]


def _cut(text: str) -> str:
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
