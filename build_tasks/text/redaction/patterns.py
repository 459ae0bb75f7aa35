"""Find secrets by what stands around them: names, headers, URLs, options, well-known prefixes.

All patterns run in linear time: what repeats is possessive, bounded, or begins where nothing like
it stands before.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from build_tasks.text.redaction.names import SHAPES, is_secret_name, words

if TYPE_CHECKING:
    from build_tasks.text.redaction import Hide

Span = tuple[int, int]


class _Form:
    """A pattern that is compiled when a line first needs it: most runs need few of them."""

    def __init__(self, source: str, flags: int = 0) -> None:
        self._source = source
        self._flags = flags

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self._source, self._flags)

    def finditer(
        self, text: str, start: int = 0, end: int = sys.maxsize
    ) -> Iterator[re.Match[str]]:
        """Yield the places of a text that have this form."""
        return self._pattern.finditer(text, start, end)


#: A URL's user information; a digest after an image's name is none.
_USERINFO = _Form(
    r"(?<!\w)(?P<scheme>\w++)://(?:(?P<user>[^\s/@:'\"\x1b]*+):)?(?P<value>[^\s/'\"\x1b]+)@(?!sha\d+:)"
)
#: Schemes whose user without a password is a token at times.
_TOKEN_SCHEMES = ("http", "https")
_QUERY = _Form(
    r"(?<=[?&])(?:sig|signature|key|auth|x-amz-signature|x-amz-credential|x-goog-signature)="
    r"(?P<value>[^&\s\"'#\x1b]+)",
    re.IGNORECASE,
)
_SCHEMES = r"(?:bearer|basic|token|digest|negotiate|aws4-hmac-sha256)"
_HEADER = _Form(
    r"authorization\\{0,3}[\"']?[ \t]{0,8}[:=][ \t]{0,8}\\{0,3}[\"']?"
    rf"{_SCHEMES}[ \t]{{1,8}}"
    r"(?P<value>[^\s\"'\\\x1b][^\"'\\\n\x1b]*)",
    re.IGNORECASE,
)
#: A scheme and a credential without the header's name.
_BEARER = _Form(
    r"\b(?:Bearer|Basic)[ \t]{1,8}(?P<value>(?=[^\s]*[0-9=])[A-Za-z0-9._~+/=-]{12,})", re.IGNORECASE
)
_COOKIE = _Form(
    r"(?<![\w-])(?:set-)?cookie:[ \t]{0,8}[^\s=:;\"']{1,256}=(?P<value>[^\"'\n\x1b]*)",
    re.IGNORECASE,
)
#: Credentials that are known by how they begin.
_SHAPES = _Form(
    r"(?<![\w-])(?P<value>gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|"
    r"glpat-[\w-]{16,}|dckr_pat_[\w-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-AgEIc[\w-]{20,}|"
    r"xox[abp]-[A-Za-z0-9-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|"
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
#: --name value
_OPTION = _Form(r"(?<![\w-])--(?P<name>[A-Za-z][\w-]*+)[ \t]{1,8}(?P<value>(?![-$])\S+)")
_NO_VALUE = re.compile(
    r"(?:and|are|argument|for|from|in|instead|is|not|of|option|or|to|was|with)\W*|"
    r"(?:id|type|env|src)=.*"
)
#: curl -u user:password
_USER = _Form(
    r"(?<!\S)(?:-[uU]|--user|--proxy-user)[ =]{0,2}[\"']?[^\s:\"'/]*:(?P<value>[^\s\"']+)"
)
_WEB = ("curl", "wget", "://")
#: Programs whose -p is a password.
_LOGIN = re.compile(r"\b(?:login|twine|sshpass|mysql\w*|mariadb\w*)\b")
_SHORT = _Form(r"(?<!\S)-p[ =]?[\"']?(?P<value>[^\s\"'$/-][^\s\"']*)")
_SEPARATOR = re.compile(r"[;&|\n]")
#: netrc, whose words may stand in one line or in several.
_NETRC = _Form(r"\blogin[ \t]{1,8}\S+[ \t]{1,8}password[ \t]{1,8}(?P<value>\S+)")
_NETRC_LINE = _Form(
    r"^[ \t]*password[ \t]{1,8}(?P<value>(?=[a-z]*[^a-z\s])\S+)[ \t]*$", re.MULTILINE
)
#: PASSWORD 'x' of SQL, and the legacy `ENV NAME x` of Dockerfiles.
_SQL = _Form(r"\b(?:password|identified by)[ \t]{1,8}'(?P<value>[^'\n]+)'", re.IGNORECASE)
_ENV = _Form(r"\b(?:ENV|ARG)[ \t]{1,8}(?P<name>[A-Za-z_]\w*+)[ \t]{1,8}(?P<value>(?![$=])\S+)")
_FOR_USER = _Form(r"\bpassword for user \S+:[ \t]{1,8}(?P<value>\S+)", re.IGNORECASE)

#: The forms that need no name, and what stands in each line that has one.
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
#: A name and what makes it a key: NAME=, NAME: , "NAME" : , name => , api key:
NAME = re.compile(
    r"(?<![\w-])(?P<name>(?:(?:api|access|secret|private) )?[\w-]++)"
    r"(?:\\{0,3}[\"'])?\]?[ \t]{0,8}(?P<is>=>|:=|=(?!=)|:(?!//|:))[ \t]{0,40}",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"(?:\"(?P<double>(?:[^\"\\\n\x1b]|\\.)++)\"|'(?P<single>(?:[^'\\\n\x1b]|\\.)++)'|"
    r"(?P<quote>\\{1,3}[\"'])(?P<escaped>[^\n]+?)(?P=quote)|"
    r"\\{0,3}[\"'](?P<open>[^\n\x1b]+)|(?P<bare>[^\s\"',;&|<>\x1b\\][^\s\"',;&|<>\x1b]*))"
)
#: What only says where a value comes from, or stands in place of one.
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


def hide(text: str, hidden: Hide) -> str:
    """Return a text without what looks like a secret in it.

    Args:
        text: one line, or several.
        hidden: returns what is shown in place of a secret.
    """
    for finds in (_in_urls, _by_form, _in_options, _in_commands, _by_name):
        made, at = [], 0
        for begin, end in finds(text):
            made += [text[at:begin], hidden(text[begin:end])]
            at = end
        text = "".join((*made, text[at:])) if made else text
    return text


def _in_urls(text: str) -> Iterator[Span]:
    for found in _USERINFO.finditer(text) if "://" in text and "@" in text else ():
        only_user = found["user"] is None
        if not only_user or found["scheme"].lower().endswith(_TOKEN_SCHEMES):
            yield found.span("value")


def _by_form(text: str) -> Iterator[Span]:
    low = text.lower()
    forms = dict.fromkeys(form for hint, form in _FORMS if hint in low)
    return _apart(found.span("value") for form in forms for found in form.finditer(text))


def _in_options(text: str) -> Iterator[Span]:
    return _apart(
        found.span("value")
        for hint, form in (("--", _OPTION), ("ENV", _ENV), ("ARG", _ENV))
        if hint in text
        for found in form.finditer(text)
        if is_secret_name(found["name"])
        and not _NO_VALUE.fullmatch(found["value"])
        and not _REFERENCE.match(found["value"].lstrip("\"'"))
    )


def _in_commands(text: str) -> Iterator[Span]:
    login = _LOGIN.search(text)
    passwords = [*(_USER.finditer(text) if any(hint in text for hint in _WEB) else ())]
    passwords += [
        *(_SHORT.finditer(text, login.end(), _end_of_command(text, login.end())) if login else ())
    ]
    return _apart(one.span("value") for one in passwords if not _REFERENCE.match(one["value"]))


def _end_of_command(text: str, start: int) -> int:
    found = _SEPARATOR.search(text, start)
    return found.start() if found else len(text)


def _apart(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield spans in order, without those that overlap one before."""
    last = 0
    for begin, end in sorted(spans):
        if begin >= last:
            yield begin, end
            last = end


def _by_name(text: str) -> Iterator[Span]:
    at = 0
    for name in NAME.finditer(text):
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
        if not _harmless(text, name, value, group):
            yield value.span(group)
            at = value.end()


def _harmless(text: str, name: re.Match[str], value: re.Match[str], group: str) -> bool:
    """Return whether a value of what is named like a secret is none."""
    given = value[group]
    if _REFERENCE.match(given) or given.partition("[")[0].rstrip(").]}:").lower() in _HARMLESS:
        return True
    if group == "bare" and given.startswith(_BRACKETS):
        return True
    last = words(name["name"])[-1]
    if last.endswith(("pwd", "credentials")) and given.startswith(("/", "~")):
        return True
    if last in {"tokens", "pass"} and _DIGITS.fullmatch(given):
        return True
    return name["is"] == ":" and group == "bare" and _in_prose(text, name, value)


def _in_prose(text: str, name: re.Match[str], value: re.Match[str]) -> bool:
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
    goes_on = after[:1] == " " and after[1:].isalnum()
    capital = value["bare"][:1].isupper()
    return goes_on or (not capital and before[:1].isalnum() and before[1:] == " ")
