"""Recognize the names of secrets: of variables, options, keys and headers."""

from __future__ import annotations

import functools
import re

#: Characters of a name that count, from its end.
_LONGEST = 128
#: A secret's name, as words in lower case: PGPASSWORD, authToken, api key. A cache key, a public
#: key and GPG_KEY are none.
_MEANING = (
    r"\b(?:authorization|cred|credentials?|creds|jwt|pat|sas)\b"
    r"|(?:passphrase|passwords?|passwd|sshpass|pwd|tokens?|secrets?|accesskeyid)\b"
    r"|(?:access|api|private|secret)key\b"
    r"|\b(?:access|account|api|auth|deploy|encryption|fernet|hmac|jwt|license|master|private|secret"
    r"|service|shared|signing|ssh|storage) keys?\b"
    r"| pass$"
)
#: The last word of a name that describes a secret: TOKEN_FILE, password_policy.
_DESCRIPTION = (
    r"\b(?:age|algorithm|backend|class|cmd|command|count|dir|disabled|enabled|endpoint|errors?"
    r"|expiration|expires|expiry|field|files?|folder|format|header|helpers?|host|hint|length"
    r"|lifetime|limit|location|manager|max|min|mode|mount|names?|order|paths?|policy|port|prompt"
    r"|protection|provider|ref|required|reset|response|scopes?|size|status|store|timeout|ttl|type"
    r"|uri|url|usage|used|version)$"
)
_CAMEL = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"


def is_secret_name(name: str) -> bool:
    """Return whether a name like `PGPASSWORD`, `accessToken` or `--api-key` is a secret's."""
    return _is_secret(name[-_LONGEST:])


@functools.lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    phrase = " ".join(words(name))
    return name == "PASS" or bool(
        re.search(_MEANING, phrase) and not re.search(_DESCRIPTION, phrase)
    )


@functools.lru_cache(maxsize=1024)
def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, without numbers at its end."""
    parts = re.findall(r"[a-z0-9]+", re.sub(_CAMEL, " ", name[-_LONGEST:]).lower())
    while parts and parts[-1].isdecimal():
        parts.pop()
    return tuple(parts)
