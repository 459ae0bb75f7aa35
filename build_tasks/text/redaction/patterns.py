"""Find secrets by their context: names, headers, URLs, options, and well-known prefixes.

All patterns run in linear time: repetitions are possessive, bounded, or start only where a
lookbehind allows it. Patterns are strings, which `re` compiles and caches when a line needs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from build_tasks.text.redaction.names import is_secret_name, words

Span = tuple[int, int]

#: References to values, and placeholders.
_REFERENCE = r"(?:\$[A-Za-z_{(]|%[sdr(]|\*\*\*|\{\{|/run/secrets/)"
#: Stands before the value of an option, which is no reference, and no word of a sentence.
_NO_VALUE = (
    rf"(?!\$|[\"']*{_REFERENCE}|(?:and|are|argument|for|from|in|instead|is|not|of|option|or|to|was"
    r"|with)[^\w\s]*(?!\S)|(?:id|type|env|src)=)"
)
#: A URL's user information, not the digest of an image. A password with a slash that is not encoded
#: looks like a port and a path, but the port is no number.
USERINFO = (
    r"(?<!\w)(?:\w++://(?P<user>[^\s/@:'\"\x1b]*+:)|(?i:https?)://)"
    r"(?P<value>[^\s/'\"\x1b]+|(?<=:)(?!\d*+/|[\da-f:]*+\])[^\s@'\"\x1b]{1,256})@(?!sha\d+:)"
)
#: Patterns, each with substrings in lower case, of which every line that it matches has one. The
#: group `name` matches only names of secrets.
_PATTERNS = {
    USERINFO: ("@",),
    (
        r"(?i)(?<=[?&])(?:sig|signature|key|auth|x-amz-signature|x-amz-credential|x-goog-signature)"
        r"=(?P<value>[^&\s\"'#\x1b]+)"
    ): ("sig", "key", "auth", "cred"),
    (
        r"(?i)authorization\\{0,3}[\"']?[ \t]{0,8}[:=][ \t]{0,8}\\{0,3}[\"']?"
        r"(?:bearer|basic|token|digest|negotiate|aws4-hmac-sha256)[ \t]{1,8}"
        r"(?P<value>[^\s\"'\\\x1b][^\"'\\\n\x1b]*)"
    ): ("authorization",),
    (r"(?i)\b(?:Bearer|Basic)[ \t]{1,8}(?P<value>(?=[^\s]*[0-9=])[A-Za-z0-9._~+/=-]{12,})"): (
        "bearer",
        "basic",
    ),
    (r"(?i)(?<![\w-])(?:set-)?cookie:[ \t]{0,8}[^\s=:;\"']{1,256}=(?P<value>[^\"'\n\x1b]*)"): (
        "cookie",
    ),
    # Credentials with a well-known prefix.
    (
        r"(?<![\w-])(?P<value>gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|"
        r"glpat-[\w-]{16,}|dckr_pat_[\w-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-AgEIc[\w-]{20,}|"
        r"xox[abp]-[A-Za-z0-9-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|"
        r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
    ): (
        *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "dckr_pat_", "npm_"),
        *("pypi-ageic", "xox", "akia", "asia", "aiza", "eyj"),
    ),
    # Options of any program, and the legacy `ENV NAME x` of Dockerfiles.
    (
        r"(?<![\w-])--(?P<name>[A-Za-z][\w-]*+)[ \t]{1,8}"
        rf"(?P<value>(?!-){_NO_VALUE}\S+)"
    ): ("--",),
    (
        r"\b(?:ENV|ARG)[ \t]{1,8}(?P<name>[A-Za-z_]\w*+)[ \t]{1,8}"
        rf"(?P<value>(?!=){_NO_VALUE}\S+)"
    ): ("env", "arg"),
    # curl -u user:password, not docker's --user 1000:0, and programs whose -p is a password.
    (
        r"(?<!\S)(?:-[uU]|--user|--proxy-user)[ =]{0,2}[\"']?[^\s:\"'/]*:"
        rf"(?P<value>(?!{_REFERENCE}|0(?!\S))[^\s\"']+)"
    ): ("curl", "wget", "://"),
    (
        r"\b(?:login|twine|sshpass|mysql\w*+|mariadb\w*+)\b[^;&|\n]{0,999}?(?<!\S)-p[ =]?[\"']?"
        rf"(?P<value>(?!{_REFERENCE})[^\s\"'$/-][^\s\"']*)"
    ): ("login", "twine", "sshpass", "mysql", "mariadb"),
    # netrc in one line or in several, prompts, and SQL.
    r"\blogin[ \t]{1,8}\S+[ \t]{1,8}password[ \t]{1,8}(?P<value>\S+)": ("login",),
    r"(?m)^[ \t]*password[ \t]{1,8}(?P<value>(?=[a-z]*[^a-z\s])\S+)[ \t]*$": ("password",),
    r"(?i)\bpassword for user \S+:[ \t]{1,8}(?P<value>\S+)": ("password for",),
    r"(?i)\b(?:password|identified by)[ \t]{1,8}'(?P<value>[^'\n]+)'": ("password", "identified"),
}
#: Every line with a secret has one of these: the above, or substrings of names of secrets.
_HINTS = {
    *{hint for hints in _PATTERNS.values() for hint in hints} - {"://", "--", "env", "arg"},
    *("pass", "token", "secret", "key", "cred", "auth", "pwd", "jwt", "sas"),
    *("pat=", "pat:", '_pat"', "_pat "),
}
#: A name and a separator: NAME=, NAME: , "NAME" : , name => , api key:
NAME = (
    r"(?i)(?<![\w-])(?P<name>(?:(?:api|access|secret|private) )?[\w-]++)"
    r"(?:\\{0,3}[\"'])?\]?[ \t]{0,8}(?P<is>=>|:=|=(?!=)|:(?!//|:))[ \t]{0,40}"
)
_VALUE = re.compile(
    r"\"(?P<double>(?:[^\"\\\n\x1b]|\\.)++)\"|'(?P<single>(?:[^'\\\n\x1b]|\\.)++)'|"
    r"(?P<quote>\\{1,3}[\"'])(?P<escaped>[^\n]+?)(?P=quote)|"
    r"\\{0,3}[\"'](?P<open>[^\n\x1b]+)|(?P<bare>[^\s\"',;&|<>\x1b\\][^\s\"',;&|<>\x1b]*)"
)
_HARMLESS = (
    rf"(?i){_REFERENCE}.*|(?:any|array|basic|bearer|bool|bytes|denied|dict|digest|empty|false"
    r"|inherit|int|list|negotiate|nil|no|none|null|object|optional|read|required|str|string|token"
    r"|true|undefined|unset|write|yes)[).\]}:]*(?:\[.*)?"
)
_PROSE = r"[A-Za-z]?[a-z'-]*[.:!?)]*|\d{1,3}[.:]?"
_SENTENCE = re.compile(r"[a-z]+,? [a-z]+,? [a-z]+\b")
_ENCODED = r"(?=[^A-Z0-9]*[A-Z0-9])[A-Za-z0-9+/]{8,}={0,2}"


def hide(text: str, replace: Callable[[str], str]) -> str:
    """Return a text without what looks like a secret."""
    low = text.lower()
    if not any(hint in low for hint in _HINTS):
        return text
    pieces, at = [], 0
    for begin, end in _merged((*_by_context(text, low), *_by_name(text))):
        pieces += [text[at:begin], replace(text[begin:end])]
        at = end
    return "".join((*pieces, text[at:]))


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, with those that overlap as one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span[0] < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span[1]))
        else:
            merged.append(span)
    return merged


def _by_context(text: str, low: str) -> Iterator[Span]:
    for pattern, hints in _PATTERNS.items():
        if any(hint in low for hint in hints):
            for match in re.finditer(pattern, text):
                if "name" not in match.re.groupindex or is_secret_name(match["name"]):
                    yield match.span("value")


def _by_name(text: str) -> Iterator[Span]:
    at = 0
    for name in re.finditer(NAME, text):
        encoded = words(name["name"]) == ("auth",)
        if name.start() < at or not (encoded or is_secret_name(name["name"])):
            continue
        value = _VALUE.match(text, name.end())
        if value is None:
            continue
        group = next(key for key in ("double", "single", "escaped", "open", "bare") if value[key])
        if encoded and not re.fullmatch(_ENCODED, value[group]):
            continue
        if not _is_harmless(text, name, value, group):
            yield value.span(group)
            at = value.end()


def _is_harmless(text: str, name: re.Match[str], value: re.Match[str], group: str) -> bool:
    """Return whether the value of a secret name is no secret."""
    content = value[group]
    last = words(name["name"])[-1]
    if re.fullmatch(_HARMLESS, content):
        return True
    if last.endswith(("pwd", "credentials")) and content.startswith(("/", "~")):
        return True
    if last in {"tokens", "pass"} and re.fullmatch(r"\d{1,6}", content):
        return True
    if group != "bare":
        return False
    return content.startswith(("{", "[", "(")) or (
        name["is"] == ":" and _is_prose(text, name, value)
    )


def _is_prose(text: str, name: re.Match[str], value: re.Match[str]) -> bool:
    """Return whether this is a sentence with a colon: `anonymous token: unexpected status`."""
    before = text[max(name.start() - 2, 0) : name.start()]
    after = text[value.end() : value.end() + 2]
    if before.endswith("/"):  # .../token: 401 Unauthorized
        return True
    if not re.fullmatch(_PROSE, value["bare"]):
        return False
    if _SENTENCE.match(text, value.start()):  # SOME_TOKEN: looks like a secret
        return True
    if name["name"] != name["name"].lower() or "_" in name["name"]:
        return False
    continues = after[:1] == " " and after[1:].isalnum()
    capital = value["bare"][:1].isupper()
    return continues or (not capital and before[:1].isalnum() and before[1:] == " ")
