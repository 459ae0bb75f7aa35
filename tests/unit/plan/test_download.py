"""Text from the web; a real server is asked with the front ends."""

from __future__ import annotations

import email.message
import io
import urllib.error
import urllib.request
from http.client import IncompleteRead

import pytest

from build_tasks.errors import NetworkError, UsageError
from build_tasks.plan import download


def respond(monkeypatch: pytest.MonkeyPatch, response: bytes | Exception) -> None:
    def urlopen(*_: object, **__: object) -> io.BytesIO:
        if isinstance(response, Exception):
            raise response
        return io.BytesIO(response)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)


def test_text_has_no_byte_order_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    respond(monkeypatch, b"\xef\xbb\xbfa==1\xff")
    assert download.text("https://h/c.txt", "here") == "a==1\ufffd"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("https://me:pw@h/c", "here: a password in the address would be shown: use a file"),
        ("ftp://h/c", "here: 'ftp://h/c' is neither a file nor a web address"),
        ("https://h:port/c", "here: 'https://h:port/c' is no web address"),
        ("https://h/a b", "here: 'https://h/a b' is no web address"),
    ],
)
def test_what_is_no_web_address_is_one_line(location: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        download.text(location, "here")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (
            urllib.error.HTTPError("https://h/c", 404, "Not Found", email.message.Message(), None),
            UsageError,
            "404 Not Found",
        ),
        (urllib.error.URLError("no route"), NetworkError, "no route"),
        (TimeoutError("timed out"), NetworkError, "timed out"),
        (IncompleteRead(b""), NetworkError, r"IncompleteRead\(0 bytes read\)"),
    ],
)
def test_a_failure_is_the_users_or_the_networks(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception], reason: str
) -> None:
    respond(monkeypatch, error)
    with pytest.raises(kind, match=f"^here: https://h/c: {reason}$"):
        download.text("https://h/c", "here")
