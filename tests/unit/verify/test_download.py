"""Files of web servers that are slow, cut off, too large, or lead elsewhere."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest
from github_api import GitHub, serving

from build_tasks.errors import AuthError, ImagesError, NetworkError, UsageError
from build_tasks.process import heartbeat
from build_tasks.verify import download
from build_tasks.verify.download import Web

CONTENT = os.urandom(200_000)


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serving() as github:
        github.files["f"] = CONTENT
        yield github


def read(github: GitHub, said: list[str] | None = None, *, at: int = 0) -> bytes:
    address, words = f"{github.storage}/f?sig=secret", [] if said is None else said
    with download.opened(Web(), address, "the file", words.append) as data:
        buffered = io.BufferedReader(data)
        buffered.seek(at)
        return buffered.read()


def test_a_file_is_read_in_one_request(github: GitHub) -> None:
    said: list[str] = []
    assert read(github, said) == CONTENT
    assert said == ["the file: downloading"]
    assert len(github.requests) == 1
    assert github.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_file_is_read_from_any_place(github: GitHub) -> None:
    assert read(github, at=150_000) == CONTENT[150_000:]
    with download.opened(Web(), f"{github.storage}/f", "f", lambda _: None) as data:
        buffered = io.BufferedReader(data, 1000)
        assert buffered.seek(-10, io.SEEK_END) == len(CONTENT) - 10
        assert buffered.read() == CONTENT[-10:]
        buffered.seek(-30_000, io.SEEK_END)
        assert buffered.read(5000) == CONTENT[-30_000:-25_000]
        before = len(github.requests)
        buffered.seek(7)
        assert buffered.read(20) == CONTENT[7:27]
        assert buffered.tell() == 27
    assert (before, len(github.requests)) == (3, 4)  # its size, its end, and then from 7


def test_it_is_said_how_much_was_received(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.05)
    github.drip = 0.002
    said: list[str] = []
    assert read(github, said) == CONTENT
    assert said[1].startswith("the file: ")
    assert any(" of 200 kB, " in line for line in said[2:])


def test_a_file_that_does_not_end_in_time_is_an_error(
    github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "DEADLINE", 0.1)
    github.drip = 0.01
    with pytest.raises(NetworkError, match=r"^the file: not received within 0.1 s$"):
        read(github)


def test_a_server_that_says_nothing_is_an_error(
    github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SILENCE", 1.0)  # enough for the headers on a loaded machine
    github.drip = 3.0
    with pytest.raises(NetworkError, match=r"^the file: .*timed out$"):
        read(github)


def test_a_file_that_is_cut_off_is_an_error(github: GitHub) -> None:
    github.cut = 100_000
    with pytest.raises(NetworkError, match=r"^the file: ") as caught:
        read(github)
    assert caught.value.transient


@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_is_too_large_is_an_error(
    github: GitHub, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr(download, "LARGEST", 1000)
    with pytest.raises(UsageError, match=r"^the file: is larger than 1 kB$"):
        read(github, at=0 if known else 10)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthError), (403, AuthError), (404, UsageError), (500, NetworkError)],
)
def test_a_status_has_its_kind_of_error(
    github: GitHub, status: int, error: type[ImagesError]
) -> None:
    github.storage_status = status
    with pytest.raises(error, match=f"^the file: {status} "):
        read(github)


def test_a_server_without_parts_cannot_be_read_from_the_middle(github: GitHub) -> None:
    github.ranges = False
    with pytest.raises(UsageError, match="the server does not send parts of a file"):
        read(github, at=10)


def test_a_server_that_cannot_be_reached_is_an_error() -> None:
    with pytest.raises(NetworkError, match=r"^http://127\.0\.0\.1:1/f: ") as caught:
        Web().open("http://127.0.0.1:1/f?sig=secret", {})
    assert "secret" not in str(caught.value)


def test_a_redirect_leads_to_no_address_without_tls(github: GitHub) -> None:
    github.storage_status, github.location = 302, "http://example.com/f"
    with pytest.raises(UsageError, match=r"http://example.com/f: expected an address with https"):
        read(github)
    github.storage_status, github.location = 302, f"{github.storage}/f"
    with pytest.raises(UsageError, match="302") as caught:  # for ever
        read(github)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", [f"https://{'a' * 64}.example.com/f", "https://h/a b?x=secret"])
def test_an_address_that_no_host_can_have_is_one_line(address: str) -> None:
    with pytest.raises(UsageError, match="is no web address") as caught:
        Web().open(address, {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://example.com/f", "expected an address with https://"),
        ("ftp://example.com/f", "expected an address with https://"),
        ("https://user:secret@example.com/f", "a password in the address would be shown"),
        ("https:///f?token=secret", "is no web address"),
        ("https://[::1/f", "is no web address"),
        ("https://host:x/f", "is no web address"),
        ("https://host/f\n", "is no web address"),
        ("https://host/bücher?token=secret", "write letters like ä as %C3%A4"),
        ("https://bücher.example.com/f", "write letters like ä as %C3%A4"),
    ],
)
def test_an_address_that_is_not_safe_is_refused(address: str, problem: str) -> None:
    with pytest.raises(UsageError, match=f"^--from: .*{problem}") as caught:
        download.check(address, "--from")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["https://example.com:8443/f?sig=1", "http://[::1]:80/f"])
def test_other_addresses_are_accepted(address: str) -> None:
    download.check(address, "--from")
