"""Hide secrets in text before it is shown or stored.

Two kinds are hidden: known values of the environment and of credentials files (`known`), and what
looks like a secret (`patterns`). Every line of a build comes through here, so a line without a
hint costs a few substring searches.
"""

from __future__ import annotations

import functools
import time

from build_tasks.text.redaction import patterns
from build_tasks.text.redaction.known import Hide, collect, secrets_in
from build_tasks.text.redaction.names import is_secret_name

__all__ = [
    "HIDDEN",
    "HOLD",
    "LONGEST",
    "StreamFilter",
    "add_secret",
    "is_secret_name",
    "redact",
    "redact_known",
]

HIDDEN = "***"
#: Characters of a line that are kept.
LONGEST = 64 * 1024
#: Seconds that an incomplete line is held back.
HOLD = 0.2

#: The known values, which are collected when the first text is redacted.
_known_values = functools.cache(collect)


def redact(text: str) -> str:
    """Return lines without secrets, each cut at LONGEST characters."""
    if len(text) > LONGEST:
        text = "\n".join(map(_cut, text.split("\n")))
    return _redacted(text, _stars)


def redact_known(text: str) -> str:
    """Return a text without known values, but with what looks like a secret."""
    return _known_values().hide(text, _stars)


def add_secret(value: str) -> None:
    """Hide a secret that is in neither the environment nor a credentials file, and its parts.

    Of a text in netrc's format only the passwords are hidden: messages name its hosts.
    """
    _known_values().add(*secrets_in(value))


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
        shown = self._redacted(complete) + newline
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
    return patterns.hide(_known_values().hide(text, hide), hide)


def _cut(line: str) -> str:
    more = len(line) - LONGEST
    return f"{line[:LONGEST]}… ({more} more characters)" if more > 0 else line


def _stars(_secret: str) -> str:
    return HIDDEN


def _same_width(secret: str) -> str:
    return "*" * len(secret)
