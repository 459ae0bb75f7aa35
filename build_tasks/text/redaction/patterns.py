"""Find secrets by their context: names, headers, URLs, options, and well-known prefixes.

All patterns run in linear time: repetitions are possessive, bounded, or start only where a
lookbehind allows it. Patterns are strings, which `re` compiles and caches when a line needs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from build_tasks.text.redaction.names import NAME, SHAPES, is_secret_name, words

if TYPE_CHECKING:
    from build_tasks.text.redaction import Hide

Span = tuple[int, int]


#: A URL's user information, but not the digest of an image.
_USERINFO = (
    r"(?<!\w)(?P<scheme>\w++)://(?:(?P<user>[^\s/@:'\"\x1b]*+):)?"
    r"(?P<value>[^\s/'\"\x1b]+)@(?!sha\d+:)"
)
#: Schemes whose user may be a token.
_TOKEN_SCHEMES = ("http", "https")
_QUERY = (
    r"(?i)(?<=[?&])(?:sig|signature|key|auth|x-amz-signature|x-amz-credential|x-goog-signature)="
    r"(?P<value>[^&\s\"'#\x1b]+)"
)
_SCHEMES = r"(?:bearer|basic|token|digest|negotiate|aws4-hmac-sha256)"
_HEADER = (
    r"(?i)authorization\\{0,3}[\"']?[ \t]{0,8}[:=][ \t]{0,8}\\{0,3}[\"']?"
    rf"{_SCHEMES}[ \t]{{1,8}}"
    r"(?P<value>[^\s\"'\\\x1b][^\"'\\\n\x1b]*)"
)
#: An authorization scheme and a credential.
_BEARER = r"(?i)\b(?:Bearer|Basic)[ \t]{1,8}(?P<value>(?=[^\s]*[0-9=])[A-Za-z0-9._~+/=-]{12,})"
_COOKIE = r"(?i)(?<![\w-])(?:set-)?cookie:[ \t]{0,8}[^\s=:;\"']{1,256}=(?P<value>[^\"'\n\x1b]*)"
#: Credentials with a well-known prefix.
_SHAPES = (
    r"(?<![\w-])(?P<value>gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|"
    r"glpat-[\w-]{16,}|dckr_pat_[\w-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-AgEIc[\w-]{20,}|"
    r"xox[abp]-[A-Za-z0-9-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|"
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
#: --name value
_OPTION = r"(?<![\w-])--(?P<name>[A-Za-z][\w-]*+)[ \t]{1,8}(?P<value>(?![-$])\S+)"
_NO_VALUE = re.compile(
    r"(?:and|are|argument|for|from|in|instead|is|not|of|option|or|to|was|with)\W*|"
    r"(?:id|type|env|src)=.*"
)
#: curl -u user:password
_USER = r"(?<!\S)(?:-[uU]|--user|--proxy-user)[ =]{0,2}[\"']?[^\s:\"'/]*:(?P<value>[^\s\"']+)"
_WEB = ("curl", "wget", "://")
#: Programs whose -p is a password.
_LOGIN = re.compile(r"\b(?:login|twine|sshpass|mysql\w*|mariadb\w*)\b")
_SHORT = r"(?<!\S)-p[ =]?[\"']?(?P<value>[^\s\"'$/-][^\s\"']*)"
_SEPARATOR = re.compile(r"[;&|\n]")
#: netrc, in one line or in several.
_NETRC = r"\blogin[ \t]{1,8}\S+[ \t]{1,8}password[ \t]{1,8}(?P<value>\S+)"
_NETRC_LINE = r"(?m)^[ \t]*password[ \t]{1,8}(?P<value>(?=[a-z]*[^a-z\s])\S+)[ \t]*$"
#: PASSWORD 'x' of SQL, and the legacy `ENV NAME x` of Dockerfiles.
_SQL = r"(?i)\b(?:password|identified by)[ \t]{1,8}'(?P<value>[^'\n]+)'"
_ENV = r"\b(?:ENV|ARG)[ \t]{1,8}(?P<name>[A-Za-z_]\w*+)[ \t]{1,8}(?P<value>(?![$=])\S+)"
_FOR_USER = r"(?i)\bpassword for user \S+:[ \t]{1,8}(?P<value>\S+)"

#: Patterns without a name, and a substring of each line that they match.
_FORMS = (
    ("=", _QUERY),
    ("authorization", _HEADER),
    ("bearer", _BEARER),
    ("basic", _BEARER),
    ("cookie", _COOKIE),
    ("login", _NETRC),
    ("password", _NETRC_LINE),
    ("password", _SQL),
    ("identified by", _SQL),
    ("password for", _FOR_USER),
    *((hint, _SHAPES) for hint in SHAPES),
)
_VALUE = re.compile(
    r"(?:\"(?P<double>(?:[^\"\\\n\x1b]|\\.)++)\"|'(?P<single>(?:[^'\\\n\x1b]|\\.)++)'|"
    r"(?P<quote>\\{1,3}[\"'])(?P<escaped>[^\n]+?)(?P=quote)|"
    r"\\{0,3}[\"'](?P<open>[^\n\x1b]+)|(?P<bare>[^\s\"',;&|<>\x1b\\][^\s\"',;&|<>\x1b]*))"
)
#: References to values, and placeholders.
_REFERENCE = re.compile(r"\$[A-Za-z_{(]|%[sdr(]|\*\*\*|\{\{|/run/secrets/")
_BRACKETS = ("{", "[", "(")
_HARMLESS = frozenset(
    (
        *("any", "array", "basic", "bearer", "bool", "bytes", "denied", "dict", "digest"),
        *("empty", "false", "inherit", "int", "list", "negotiate", "nil", "no", "none", "null"),
        *("object", "optional", "read", "required", "str", "string", "token", "true"),
        *("undefined", "unset", "write", "yes"),
    )
)
_PROSE = re.compile(r"[A-Za-z]?[a-z'-]*[.:!?)]*|\d{1,3}[.:]?")
_SENTENCE = re.compile(r"[a-z]+,? [a-z]+,? [a-z]+\b")
_ENCODED = re.compile(r"(?=[^A-Z0-9]*[A-Z0-9])[A-Za-z0-9+/]{8,}={0,2}")
_DIGITS = re.compile(r"\d{1,6}")


def hide(text: str, replace: Hide) -> str:
    """Return a text without what looks like a secret."""
    for find in (_in_urls, _by_form, _in_options, _in_commands, _by_name):
        pieces, at = [], 0
        for begin, end in find(text):
            pieces += [text[at:begin], replace(text[begin:end])]
            at = end
        text = "".join((*pieces, text[at:])) if pieces else text
    return text


def _in_urls(text: str) -> Iterator[Span]:
    for match in re.finditer(_USERINFO, text) if "://" in text and "@" in text else ():
        if match["user"] is not None or match["scheme"].lower().endswith(_TOKEN_SCHEMES):
            yield match.span("value")


def _by_form(text: str) -> Iterator[Span]:
    low = text.lower()
    forms = dict.fromkeys(form for hint, form in _FORMS if hint in low)
    return _disjoint(match.span("value") for form in forms for match in re.finditer(form, text))


def _in_options(text: str) -> Iterator[Span]:
    return _disjoint(
        match.span("value")
        for hint, form in (("--", _OPTION), ("ENV", _ENV), ("ARG", _ENV))
        if hint in text
        for match in re.finditer(form, text)
        if is_secret_name(match["name"])
        and not _NO_VALUE.fullmatch(match["value"])
        and not _REFERENCE.match(match["value"].lstrip("\"'"))
    )


def _in_commands(text: str) -> Iterator[Span]:
    matches = [*(re.finditer(_USER, text) if any(hint in text for hint in _WEB) else ())]
    if login := _LOGIN.search(text):
        separator = _SEPARATOR.search(text, login.end())
        end = separator.start() if separator else len(text)
        matches += re.compile(_SHORT).finditer(text, login.end(), end)
    return _disjoint(
        match.span("value") for match in matches if not _REFERENCE.match(match["value"])
    )


def _disjoint(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield spans in order, without those that overlap one before."""
    last = 0
    for begin, end in sorted(spans):
        if begin >= last:
            yield begin, end
            last = end


def _by_name(text: str) -> Iterator[Span]:
    at = 0
    for name in re.finditer(NAME, text):
        if name.start() < at:
            continue
        encoded = words(name["name"][-8:]) == ("auth",)
        if not (encoded or is_secret_name(name["name"])):
            continue
        value = _VALUE.match(text, name.end())
        if value is None:
            continue
        group = next(key for key in ("double", "single", "escaped", "open", "bare") if value[key])
        if encoded and not _ENCODED.fullmatch(value[group]):
            continue
        if not _is_harmless(text, name, value, group):
            yield value.span(group)
            at = value.end()


def _is_harmless(text: str, name: re.Match[str], value: re.Match[str], group: str) -> bool:
    """Return whether the value of a secret name is no secret."""
    content = value[group]
    if _REFERENCE.match(content) or content.partition("[")[0].rstrip(").]}:").lower() in _HARMLESS:
        return True
    if group == "bare" and content.startswith(_BRACKETS):
        return True
    last = words(name["name"])[-1]
    if last.endswith(("pwd", "credentials")) and content.startswith(("/", "~")):
        return True
    if last in {"tokens", "pass"} and _DIGITS.fullmatch(content):
        return True
    return name["is"] == ":" and group == "bare" and _is_prose(text, name, value)


def _is_prose(text: str, name: re.Match[str], value: re.Match[str]) -> bool:
    """Return whether this is a sentence with a colon: `anonymous token: unexpected status`."""
    before = text[max(name.start() - 2, 0) : name.start()]
    if before.endswith("/"):  # .../token: 401 Unauthorized
        return True
    if not _PROSE.fullmatch(value["bare"]):
        return False
    if _SENTENCE.match(text, value.start()):  # SOME_TOKEN: looks like a secret
        return True
    if name["name"] != name["name"].lower() or "_" in name["name"]:
        return False
    after = text[value.end() : value.end() + 2]
    continues = after[:1] == " " and after[1:].isalnum()
    capital = value["bare"][:1].isupper()
    return continues or (not capital and before[:1].isalnum() and before[1:] == " ")
