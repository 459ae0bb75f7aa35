"""Escape text of other programs: one function for each place where it is shown.

A build's log, a registry's answer or the settings of a pull request may hold commands for a
terminal or a CI system. HTML templates escape their values themselves, after `plain`.
"""

from __future__ import annotations

import re

#: Commands for a terminal: strings up to their end (titles, clipboards, links), sequences, shifts.
#: Of a string without an end, only the introducer. No alternative can start inside another, so
#: this takes linear time.
_SEQUENCE = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f\n]*(?:\x07|\x1b\\|\x9c)|"
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|"
    r"\x1b[ -/]*[0-~]"
)
#: Control characters, characters that XML does not allow, and marks of the text direction.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
#: Bytes of a file name that are not UTF-8, as Python represents them.
_SURROGATE = re.compile(r"[\ud800-\udfff]")
#: Commands for CI systems: GitHub's begin a line; its old ones, Azure's and TeamCity's may stand
#: anywhere.
_CI_LINE = re.compile(r"^(?=[^\S\n]*::)", re.MULTILINE)
_CI_ANYWHERE = re.compile(r"##(?=(?:vso|teamcity)?\[)")


def without_sequences(text: str) -> str:
    """Return text without escape sequences."""
    return _SEQUENCE.sub("", text)


def plain(text: str, *, keep_bytes: bool = False) -> str:
    """Return text without control characters and escape sequences; lines and tabs stay.

    Bytes that are not UTF-8 become replacement characters, unless a stream writes them unchanged.
    """
    text = _CONTROL.sub("", without_sequences(text))
    return text if keep_bytes else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def terminal(text: str) -> str:
    """Return text for a terminal or a CI log, without commands of CI systems."""
    return _CI_ANYWHERE.sub("# #", _CI_LINE.sub(r"\\", plain(text, keep_bytes=True)))


def markdown(text: str) -> str:
    """Return one line for Markdown and HTML, with punctuation as entities."""
    line = " ".join(plain(text).split())
    return re.sub(r"[^\w .,/()+%=-]|_", lambda sign: f"&#{ord(sign[0])};", line)


def github_data(text: str) -> str:
    """Return text for the message of a workflow command of GitHub Actions."""
    return plain(text).replace("%", "%25").replace("\n", "%0A")


def github_property(text: str) -> str:
    """Return text for a property of a workflow command of GitHub Actions."""
    return github_data(text).replace(":", "%3A").replace(",", "%2C")
