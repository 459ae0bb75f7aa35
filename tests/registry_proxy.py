"""A proxy before a registry on loopback: it counts what passes, and fails where it is told to.

    with proxied("127.0.0.1:5000") as proxy:
        proxy.fault(r"/manifests/cache", status=404, times=1)
        ...  # builds reach the registry as proxy.address
        proxy.traffic().pulled

Every connection has a thread and a connection to the registry of its own; bodies are copied in
large pieces, so that a benchmark measures the registry and not this.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Bytes copied at a time.
PIECE = 512 * 1024
#: Headers that are about one connection (RFC 9110, 7.6.1).
_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"}
_PATH = re.compile(r"/v2/(?P<repository>.+?)/(?P<kind>blobs|manifests|tags|referrers)(?:/|$)")
_KINDS = {"blobs": "blob", "manifests": "manifest"}
_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NAME_UNKNOWN", 429: "TOOMANYREQUESTS"}


@dataclass
class Fault:
    """What goes wrong with the requests that fit.

    Args:
        path: a regular expression to find in the request's path.
        method: a regular expression that is the request's whole method.
        status: answer with this instead; 401 asks for a password, 429 to come again.
        cut: end the connection in the middle of the body: the answer's, or the request's.
        stall: seconds to wait before anything else happens.
        times: how often it happens; always if None.
        after: how many requests that fit pass first.
        retry_after: seconds that a 429 or 503 asks to wait.
        seen: how many requests fitted.
        happened: how often it happened.
    """

    path: str
    method: str = "GET|HEAD"
    status: int = 0
    cut: bool = False
    stall: float = 0.0
    times: int | None = None
    after: int = 0
    retry_after: int = 1
    seen: int = 0
    happened: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Return whether it is this request's turn to fail, and count it."""
        if not (re.fullmatch(self.method, method) and re.search(self.path, path)):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.happened >= self.times):
            return False
        self.happened += 1
        return True


@dataclass(frozen=True)
class Traffic:
    """Bytes of bodies that passed.

    Args:
        pulled: of answers to GET.
        pushed: of requests.
        requests: how many there were.
        pulls: the pulled bytes by repository and kind (blob, manifest or other).
        pushes: the pushed bytes likewise.
    """

    pulled: int
    pushed: int
    requests: int
    pulls: dict[tuple[str, str], int]
    pushes: dict[tuple[str, str], int]


@dataclass(frozen=True)
class Request:
    """One request, and the status that it was answered with; 0 if the connection was cut."""

    method: str
    path: str
    status: int


@dataclass
class Proxy:
    """A running proxy.

    Args:
        address: host and port, to stand where the registry's stood.
        upstream: host and port of the registry.
        requests: the last requests, in the order in which they were answered.
    """

    address: str
    upstream: str
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=100_000))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _faults: list[Fault] = field(default_factory=list)
    _pulls: Counter[tuple[str, str]] = field(default_factory=Counter)
    _pushes: Counter[tuple[str, str]] = field(default_factory=Counter)
    _count: int = 0

    def fault(self, path: str, **how: Any) -> Fault:
        """Make the requests that fit go wrong from now on; the first fault that fits counts."""
        made = Fault(path, **how)
        with self._lock:
            self._faults.append(made)
        return made

    def clear(self) -> None:
        """Let everything pass again."""
        with self._lock:
            self._faults.clear()

    def reset(self) -> None:
        """Count from nothing again."""
        with self._lock:
            self._pulls.clear()
            self._pushes.clear()
            self.requests.clear()
            self._count = 0

    def traffic(self) -> Traffic:
        """Return what has passed since the beginning, or since it was reset."""
        with self._lock:
            pulls, pushes = dict(self._pulls), dict(self._pushes)
            return Traffic(sum(pulls.values()), sum(pushes.values()), self._count, pulls, pushes)

    def meet(self, method: str, path: str) -> Fault | None:
        with self._lock:
            return next((one for one in self._faults if one.meets(method, path)), None)

    def answered(self, method: str, path: str, status: int) -> None:
        with self._lock:
            self._count += 1
            self.requests.append(Request(method, path, status))

    def count(self, path: str, *, pulled: int = 0, pushed: int = 0) -> None:
        key = about(path)
        with self._lock:
            if pulled:
                self._pulls[key] += pulled
            if pushed:
                self._pushes[key] += pushed


def about(path: str) -> tuple[str, str]:
    """Return the repository that a request is about, and whether it is a blob or a manifest."""
    found = _PATH.match(path)
    return (found["repository"], _KINDS.get(found["kind"], "other")) if found else ("", "other")


@contextlib.contextmanager
def proxied(upstream: str, *, port: int = 0) -> Iterator[Proxy]:
    """Serve a registry through a proxy until the block ends.

    Args:
        upstream: host and port of the registry, which speaks plain HTTP.
        port: the proxy's port; a free one if 0.
    """
    server = _Server(("127.0.0.1", port), _Handler)
    server.proxy = Proxy(f"127.0.0.1:{server.server_address[1]}", upstream)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.proxy
    finally:
        server.shutdown()
        server.ended.set()
        server.hang_up()
        server.server_close()  # which waits for the connections' threads
        thread.join()


class _Cut(Exception):
    """End the connection here."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them: nothing may be left open
    request_queue_size = 128
    proxy: Proxy

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients hang up as they like."""

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        if self.ended.is_set():
            self.hang_up()

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def hang_up(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 64 * 1024
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.proxy = self.server.proxy
        self.piece = memoryview(bytearray(PIECE))
        self.registry = http.client.HTTPConnection(self.proxy.upstream, timeout=300)
        self.server.opened(self.connection)

    def handle(self) -> None:
        """Tell who tries TLS, as BuildKit does first, that this is HTTP: then it comes again."""
        if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\nthis is plain HTTP\n")
            return
        super().handle()

    def finish(self) -> None:
        self.server.closed(self.connection)
        self.registry.close()
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def forward(self) -> None:
        """Pass a request on, and its answer back, unless it is to fail."""
        path = self.path.partition("?")[0]
        self.noted = False
        try:
            self.answer(path, self.proxy.meet(self.command, path))
        except (_Cut, OSError, http.client.HTTPException):
            self.close_connection = True
            self.registry.close()
            self.note(path, 0)

    def note(self, path: str, status: int) -> None:
        """Write the request down before its answer is sent: the client may look at once."""
        if not self.noted:
            self.proxy.answered(self.command, path, status)
        self.noted = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815 - http.server's names

    def answer(self, path: str, fault: Fault | None) -> None:
        if fault and fault.stall:
            self.server.ended.wait(fault.stall)
        if fault and fault.status:
            for _ in self.body():
                pass
            self.note(path, fault.status)
            self.refuse(fault)
            return
        cut = bool(fault and fault.cut)
        with self.asked(path, cut=cut) as answer:
            self.note(path, 0 if cut else answer.status)
            self.send_back(answer, path, cut=cut)

    @contextlib.contextmanager
    def asked(self, path: str, *, cut: bool) -> Iterator[http.client.HTTPResponse]:
        """Ask the registry; a connection that it closed meanwhile is opened again."""
        has_body = self.has_body()
        for again in (False, True):
            try:
                self.ask()
                if has_body:
                    self.send_on(path, cut=cut)
                answer = self.registry.getresponse()
                break
            except (http.client.RemoteDisconnected, ConnectionError):
                self.registry.close()
                if again or has_body:
                    raise
        with answer:
            yield answer

    def ask(self) -> None:
        # The client's Host goes on, so that the registry's Location headers lead back here.
        self.registry.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP | {"expect"}:
                self.registry.putheader(name, value)
        if self.chunked():
            self.registry.putheader("Transfer-Encoding", "chunked")
        self.registry.endheaders()

    def send_on(self, path: str, *, cut: bool) -> None:
        """Send the request's body on, or half of it and hang up."""
        chunked = self.chunked()
        whole = int(self.headers.get("Content-Length") or 0)
        sent = 0
        for piece in self.body():
            if cut and (chunked or sent + len(piece) > whole // 2):
                raise _Cut
            self.proxy.count(path, pushed=len(piece))
            if chunked:
                self.registry.send(b"%x\r\n" % len(piece))
            self.registry.send(piece)
            if chunked:
                self.registry.send(b"\r\n")
            sent += len(piece)
        if chunked:
            self.registry.send(b"0\r\n\r\n")

    def has_body(self) -> bool:
        return self.chunked() or int(self.headers.get("Content-Length") or 0) > 0

    def chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def body(self) -> Iterator[memoryview]:
        """Yield the request's body in pieces, which are valid until the next one."""
        if not self.chunked():
            yield from self.exactly(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield from self.exactly(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers

    def exactly(self, size: int) -> Iterator[memoryview]:
        while size:
            got = self.rfile.readinto(self.piece[: min(size, PIECE)])
            if not got:
                raise _Cut
            size -= got
            yield self.piece[:got]

    def send_back(self, answer: http.client.HTTPResponse, path: str, *, cut: bool) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers.items():
            if name.lower() == "location":
                value = value.replace(f"//{self.proxy.upstream}/", f"//{self.proxy.address}/")  # noqa: PLW2901 - the same header
            if name.lower() not in _HOP:
                self.send_header(name, value)
        bare = self.command == "HEAD" or answer.status in {204, 304}
        whole = int(answer.headers.get("Content-Length") or 0)
        chunked = not bare and "Content-Length" not in answer.headers
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        while not bare and (got := answer.readinto(self.piece)):
            piece = self.piece[:got]
            if cut and sent + got > whole // 2:
                self.wfile.write(piece[: max(0, whole // 2 - sent)])
                raise _Cut
            if self.command == "GET":
                self.proxy.count(path, pulled=got)
            self.wfile.write(b"".join((b"%x\r\n" % got, piece, b"\r\n")) if chunked else piece)
            sent += got
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        if answer.will_close:
            self.registry.close()

    def refuse(self, fault: Fault) -> None:
        status = fault.status
        code = _CODES.get(status, "UNKNOWN")
        body = json.dumps({"errors": [{"code": code, "message": "a fault of the tests"}]}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="tests"')
        if status in {429, 503}:
            self.send_header("Retry-After", str(fault.retry_after))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
