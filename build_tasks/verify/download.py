"""Read a large file from a web address as a stream, also from the middle."""

from __future__ import annotations

import contextlib
import io
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from build_tasks.errors import AuthError, NetworkError, UsageError
from build_tasks.process import Announce
from build_tasks.process.heartbeat import Phase, heartbeat
from build_tasks.text.formatting import size

#: Seconds to connect, and between two pieces of an answer.
SILENCE = 60.0
#: Seconds and bytes of a whole file at most.
DEADLINE = 3600.0
LARGEST = 20 * 1000**3
#: Bytes at the end of a zip file with its directory, which are read at once.
_TAIL = 64 * 1024
#: The status of an answer with a part of a file (RFC 9110, 15.3.7).
_PARTIAL = 206
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


def check(address: str, place: str) -> None:
    """Raise UsageError unless an address is one that nobody on the way can read or change."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{place}: {shown(address)!r} is no web address") from None
    if parts.username or parts.password:
        raise UsageError(f"{place}: a password in the address would be shown: leave it out")
    if not host or port == 0 or not address.isprintable():
        raise UsageError(f"{place}: {shown(address)!r} is no web address")
    if not address.isascii():
        raise UsageError(f"{place}: {shown(address)}: write letters like ä as %C3%A4")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise UsageError(f"{place}: {shown(address)}: expected an address with https://")


def shown(address: str) -> str:
    """Return an address without what may be a signature in it."""
    return address.partition("?")[0].partition("#")[0]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to addresses that `check` accepts."""

    def redirect_request(  # noqa: PLR0913, PLR0917 - urllib's
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        check(newurl, shown(req.full_url))
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes an HTTPError of a redirect, so that what is sent goes to one host only."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse every redirect."""


class Web:
    """Opens addresses with the certificates of a CA bundle, or else those of this machine."""

    def __init__(self, bundle: Path | None = None) -> None:
        self._https = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=bundle))

    def open(
        self,
        address: str,
        headers: Mapping[str, str],
        redirects: type[urllib.request.HTTPRedirectHandler] = _Redirects,
    ) -> HTTPResponse:
        """Return the answer of a server; it is an HTTPError if it is an error.

        Raises:
            NetworkError: the server cannot be reached.
            HTTPError: the server refuses.
        """
        request = urllib.request.Request(address, headers=dict(headers))  # noqa: S310 - checked
        try:
            opener = urllib.request.build_opener(self._https, redirects)
            response: HTTPResponse = opener.open(request, timeout=SILENCE)
        except urllib.error.HTTPError:
            raise
        except (InvalidURL, UnicodeError):
            raise UsageError(f"{shown(address)!r} is no web address") from None
        except (OSError, HTTPException) as error:
            raise _cut(address, error) from None
        return response


class Download(io.RawIOBase):
    """A file at a web address, which can be read from any place.

    Reading from another place than the last one ended at is another request.
    """

    def __init__(self, web: Web, address: str, name: str, phase: Phase) -> None:
        self._web = web
        self._address = address
        self._name = name
        self._phase = phase
        self._end = time.monotonic() + DEADLINE
        self._response: HTTPResponse | None = None
        self._at = 0
        self._size: int | None = None
        self._received = 0
        self._tail = b""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be read from any place."""
        return True

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        place = offset + (self.length if start is None else start)
        if place != self._at:
            self._hang_up()
        self._at = place
        return place

    @property
    def length(self) -> int:
        """The size of the whole file in bytes.

        Raises:
            UsageError: the server does not send parts of the file, or it is too large.
        """
        if self._size is None:
            response = self._request("bytes=0-0")
            total = response.headers.get("Content-Range", "").rpartition("/")[2]
            response.close()
            if not total.isdecimal():
                raise UsageError(f"{self._name}: the server does not say how large it is")
            self._size = int(total)
            self._check_size(self._size)
        return self._size

    def readinto(self, buffer: Any, /) -> int:
        """Read what the server has sent, at most as much as fits."""
        view = memoryview(buffer).cast("B")
        if self._size is not None and self._at >= self._size:
            return 0
        chunk = self._of_tail(len(view)) or self._next(len(view))
        view[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)

    def close(self) -> None:
        """Hang up."""
        self._hang_up()
        super().close()

    def _next(self, count: int) -> bytes:
        if self._response is None:
            self._response = self._request(f"bytes={self._at}-" if self._at else "")
            announced = self._response.headers.get("Content-Length", "")
            if announced.isdecimal() and not self._at:
                self._size = int(announced)
                self._check_size(self._size)
        if time.monotonic() > self._end:
            raise NetworkError(f"{self._name}: not received within {DEADLINE:g} s")
        try:
            chunk = self._response.read1(count)
        except (OSError, HTTPException) as error:
            raise _cut(self._name, error) from None
        if not chunk and self._at < (self._size or 0):
            missing = f"{size(self._at)} of {size(self._size or 0)}"
            raise NetworkError(f"{self._name}: cut off after {missing}", transient=True)
        self._received += len(chunk)
        self._check_size(self._received)
        whole = f" of {size(self._size)}" if self._size else ""
        self._phase.name = f"received {size(self._received)}{whole}"
        return chunk

    def _of_tail(self, count: int) -> bytes:
        """Return bytes of the end of a file whose size is known: it is read at once."""
        if self._size is None or self._response is not None or self._at < self._size - _TAIL:
            return b""
        start = max(0, self._size - _TAIL)
        if not self._tail:
            with self._request(f"bytes={start}-{self._size - 1}") as response:
                try:
                    self._tail = response.read(_TAIL)
                except (OSError, HTTPException) as error:
                    raise _cut(self._name, error) from None
        return self._tail[self._at - start :][:count]

    def _request(self, part: str) -> HTTPResponse:
        headers = {"Accept-Encoding": "identity", **({"Range": part} if part else {})}
        try:
            response = self._web.open(self._address, headers)
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(self._name, error) from None
        if part and response.status != _PARTIAL:
            response.close()
            raise UsageError(f"{self._name}: the server does not send parts of a file")
        return response

    def _check_size(self, count: int) -> None:
        if count > LARGEST:
            raise UsageError(f"{self._name}: is larger than {size(LARGEST)}")

    def _hang_up(self) -> None:
        if self._response:
            self._response.close()
        self._response = None


@contextlib.contextmanager
def opened(web: Web, address: str, name: str, announce: Announce) -> Iterator[Download]:
    """Open a file at a web address; announce every few seconds how much of it was received.

    Raises:
        ImagesError: while it is read: it cannot be had, or is too large.
    """
    announce(f"{name}: downloading")
    phase = Phase("connecting")
    with heartbeat(name, phase, announce), Download(web, address, name, phase) as download:
        yield download


def _refused(name: str, error: urllib.error.HTTPError) -> UsageError | AuthError | NetworkError:
    """Return the error for a server that refuses a file."""
    reason = str(error.reason).partition("\n")[0]  # a loop of redirects has several lines
    text = f"{name}: {error.code} {reason}"
    if error.code in {401, 403}:
        return AuthError(text)
    return UsageError(text) if error.code < 500 else NetworkError(text, transient=True)  # noqa: PLR2004 - RFC 9110


def _cut(name: str, error: Exception) -> NetworkError:
    return NetworkError(f"{shown(name)}: {getattr(error, 'reason', error)}", transient=True)
