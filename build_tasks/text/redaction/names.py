"""Recognize the names of secrets: of variables, options, keys and headers."""

from __future__ import annotations

import functools
import itertools
import re

#: Prefixes of well-known credentials, in lower case.
SHAPES = (
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "dckr_pat_", "npm_"),
    *("pypi-ageic", "xox", "akia", "asia", "aiza", "eyj"),
)
#: Characters of a name that count, from its end.
_LONGEST = 128
_WORDS = frozenset(
    (
        *("authorization", "cred", "credential", "credentials", "creds", "jwt", "pat"),
        *("passphrase", "pwd", "sas"),
    )
)
#: Endings of words that mean a secret: PGPASSWORD, authToken.
_ENDINGS = (
    *("password", "passwords", "passwd", "passphrase", "token", "tokens", "secret", "secrets"),
    *("apikey", "accesskey", "secretkey", "privatekey", "pwd", "sshpass", "accesskeyid"),
)
#: Kinds of secret keys; a cache key, a public key and GPG_KEY are none.
_KEYS = frozenset(
    (
        *("access", "account", "api", "auth", "deploy", "encryption", "fernet", "hmac", "jwt"),
        *("license", "master", "private", "secret", "service", "shared", "signing", "ssh"),
        *("storage"),
    )
)
#: Last words of names that describe a secret: TOKEN_FILE, password_policy.
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
#: A name and a separator: NAME=, NAME: , "NAME" : , name => , api key:
NAME = (
    r"(?i)(?<![\w-])(?P<name>(?:(?:api|access|secret|private) )?[\w-]++)"
    r"(?:\\{0,3}[\"'])?\]?[ \t]{0,8}(?P<is>=>|:=|=(?!=)|:(?!//|:))[ \t]{0,40}"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[^a-z0-9]+")


def is_secret_name(name: str) -> bool:
    """Return whether a name like `PGPASSWORD`, `accessToken` or `--api-key` is a secret's."""
    return _is_secret(name[-_LONGEST:])


@functools.lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    parts = words(name)
    if not parts or parts[-1] in _ABOUT:
        return False
    if any(word in _WORDS or word.endswith(_ENDINGS) for word in parts):
        return True
    pairs = itertools.pairwise(parts)
    key = any(kind in _KEYS and word in {"key", "keys"} for kind, word in pairs)
    return key or (len(parts) > 1 and parts[-1] == "pass") or name == "PASS"


@functools.lru_cache(maxsize=1024)
def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, without numbers at its end."""
    parts = [word for word in _SEPARATORS.split(_CAMEL.sub("_", name).lower()) if word]
    while parts and parts[-1].isdecimal():
        parts.pop()
    return tuple(parts)
