"""Whether a variable, option, key or header with this name holds a secret."""

from __future__ import annotations

import functools
import itertools
import re

#: How credentials begin that are known by how they look, in lower case.
SHAPES = (
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "dckr_pat_", "npm_"),
    *("pypi-ageic", "xox", "akia", "asia", "aiza", "eyj"),
)
#: Characters of a name that are looked at, from its end.
_LONGEST = 128
_WORDS = frozenset(
    (
        *("authorization", "cred", "credential", "credentials", "creds", "jwt", "pat"),
        *("passphrase", "pwd", "sas"),
    )
)
#: How a word ends that means a secret: PGPASSWORD, authToken.
_ENDINGS = (
    *("password", "passwords", "passwd", "passphrase", "token", "tokens", "secret", "secrets"),
    *("apikey", "accesskey", "secretkey", "privatekey", "pwd", "sshpass", "accesskeyid"),
)
#: What kind of key is secret; a cache key, a public key and GPG_KEY are not.
_KEYS = frozenset(
    (
        *("access", "account", "api", "auth", "deploy", "encryption", "fernet", "hmac", "jwt"),
        *("license", "master", "private", "secret", "service", "shared", "signing", "ssh"),
        *("storage"),
    )
)
#: Last words of names that say something about a secret: TOKEN_FILE, password_policy.
_ABOUT = frozenset(
    (
        *("age", "algorithm", "backend", "class", "cmd", "command", "count", "dir", "disabled"),
        *("enabled", "endpoint", "error", "errors", "expiration", "expires", "expiry", "field"),
        *("file", "files", "folder", "format", "header", "helper", "helpers", "host", "hint"),
        *("length", "lifetime", "limit", "location", "manager", "max", "min", "mode", "mount"),
        *("name", "names", "path", "paths", "policy", "port", "prompt", "protection"),
        *("provider", "ref", "required", "reset", "response", "scope", "scopes", "size"),
        *("status", "store", "timeout", "ttl", "type", "uri", "url", "usage", "used", "version"),
    )
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[^a-z0-9]+")


def is_secret_name(name: str) -> bool:
    """Return whether what has this name is a secret.

    Args:
        name: like `PGPASSWORD`, `accessToken`, `--api-key` or `X-Amz-Security-Token`.
    """
    return _is_secret(name[-_LONGEST:])


@functools.lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    found = words(name)
    if not found or found[-1] in _ABOUT:
        return False
    if any(word in _WORDS or word.endswith(_ENDINGS) for word in found):
        return True
    pairs = itertools.pairwise(found)
    key = any(kind in _KEYS and word in {"key", "keys"} for kind, word in pairs)
    return key or (len(found) > 1 and found[-1] == "pass") or name == "PASS"


@functools.lru_cache(maxsize=1024)
def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, without numbers at its end."""
    found = [word for word in _SEPARATORS.split(_CAMEL.sub("_", name).lower()) if word]
    while found and found[-1].isdecimal():
        found.pop()
    return tuple(found)
