"""Take out of a text what looks like a secret, before it is shown or kept."""

from __future__ import annotations

import re

from build_tasks.values import SECRET_NAME

HIDDEN = "***"

#: Looked for first: nearly no line has any of it, and the rest costs ten times as much.
_HINT = re.compile(
    r"token|passw|secret|api.?key|credential|://[^\s/@]*@|authorization", re.IGNORECASE
)
#: A password, or all that there is, between a URL's scheme and its host.
_USER = re.compile(r"(?P<scheme>\w://)(?:(?P<user>[^\s/@:'\"]*):)?[^\s/@'\"]+@")
#: NAME=value, NAME: value, "NAME": "value"; what begins with $ only says where the value is.
_ASSIGNED = re.compile(
    r"(?P<name>[A-Za-z_][\w-]*)(?P<is>[\"']?\s?[=:]\s?)"
    r"(?P<value>\"(?!\$)[^\"]+\"|'(?!\$)[^']+'|(?![\"'$])[^\s\"',;&|<>]+)"
)
#: --name value
_OPTION = re.compile(r"--(?P<name>[a-z][\w-]*)(?P<is> +)(?P<value>(?![-$])\S+)")
_HEADER = re.compile(r"(?P<kind>authorization:\s*\w+\s+)[^\s\"']+", re.IGNORECASE)


def redact(text: str) -> str:
    """Return a text without the values of what is named like a secret, and passwords in URLs.

    Args:
        text: one line, or several.
    """
    if not _HINT.search(text):
        return text
    text = _USER.sub(_without_password, text)
    text = _HEADER.sub(rf"\g<kind>{HIDDEN}", text)
    text = _OPTION.sub(_without_value, text)
    return _ASSIGNED.sub(_without_value, text)


def _without_password(found: re.Match[str]) -> str:
    user = f"{found['user']}:" if found["user"] else ""
    return f"{found['scheme']}{user}{HIDDEN}@"


def _without_value(found: re.Match[str]) -> str:
    if not SECRET_NAME.search(found["name"].strip("-").replace("-", "_")):
        return found[0]
    start = found.start("value") - found.start()
    return f"{found[0][:start]}{HIDDEN}"
