"""A proxy before a registry on loopback: it counts what passes, and fails where it is told to.

    with proxied("127.0.0.1:5000") as proxy:
        proxy.fault(r"/manifests/cache", status=404, times=1)
        ...  # builds reach the registry as proxy.address
        proxy.traffic().pulled

Every connection has a thread and a connection to the registry of its own; bodies are copied in
large pieces, so that a benchmark measures the registry and not this.

`silent()` is a registry that accepts connections and never says anything at all.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import secrets
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn

from build_tasks.engine import credentials
from build_tasks.engine.folders import engine_folders

#: Bytes copied at a time.
PIECE = 512 * 1024
#: A stall that lasts until the proxy ends.
FOREVER = float("inf")
#: Where tokens are issued, once the proxy has been told to `guard` its registry.
TOKEN = "/token"  # noqa: S105 - a path
HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in</body></html>"
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
        reset: end the connection with a TCP reset, at once, or with `cut` in the middle.
        stall: seconds to wait before anything else happens; FOREVER until the proxy ends.
        hang: stop in the middle of the body, the answer's or the request's, and keep the
            connection open.
        drip: seconds to wait after each byte of the body, the answer's or the request's.
        length: bytes that the answer's Content-Length is off; the connection ends early where
            there are fewer bytes than promised.
        digest: what the answer's Docker-Content-Digest says instead.
        corrupt: change the first byte of the answer's body.
        html: answer 200 with a page for people, as captive portals and wrong addresses do.
        redirect: answer with a redirect to the same address.
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
    reset: bool = False
    stall: float = 0.0
    hang: bool = False
    drip: float = 0.0
    length: int = 0
    digest: str = ""
    corrupt: bool = False
    html: bool = False
    redirect: bool = False
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

    @property
    def breaks(self) -> bool:
        """Whether a body does not pass whole."""
        return self.cut or self.hang


@dataclass
class Tokens:
    """The Bearer tokens of a guarded registry.

    Args:
        uses: how many requests each token is good for; None for any number.
        left: the tokens that were issued, with the requests that each is still good for.
    """

    uses: int | None = None
    left: dict[str, int] = field(default_factory=dict)

    def issue(self) -> str:
        """Return a new token."""
        token = secrets.token_hex(8)
        self.left[token] = -1 if self.uses is None else self.uses
        return token

    def accept(self, header: str) -> bool:
        """Return whether an Authorization header holds a token that is still good, and use it."""
        token = header.removeprefix("Bearer ")
        left = self.left.get(token, 0)
        if left > 0:
            self.left[token] = left - 1
        return left != 0


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
    _tokens: Tokens | None = None

    def guard(self, *, uses: int | None = None) -> Tokens:
        """Ask for Bearer tokens from now on, as public registries do; anybody gets one.

        Args:
            uses: how many requests a token is good for, so that it expires in the middle.
        """
        with self._lock:
            self._tokens = Tokens(uses)
            return self._tokens

    def admits(self, path: str, header: str) -> bool:
        with self._lock:
            return self._tokens is None or path == TOKEN or self._tokens.accept(header)

    def token(self) -> str:
        with self._lock:
            return self._tokens.issue() if self._tokens else ""

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


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Give the address of a registry that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


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
            self.answer(path, self.proxy.meet(self.command, path) or Fault(path))
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

    def answer(self, path: str, fault: Fault) -> None:
        if fault.stall:
            self.server.ended.wait(None if fault.stall == FOREVER else fault.stall)
        if fault.reset and not fault.cut:
            self.break_off(fault)
        if self.made_up(path, fault):
            return
        with self.asked(path, fault) as answer:
            self.note(path, 0 if fault.breaks else answer.status)
            self.send_back(answer, path, fault)

    def made_up(self, path: str, fault: Fault) -> bool:
        """Answer without the registry where it is not to be asked; return whether it was so."""
        kind = "application/json"
        headers: dict[str, str] = {}
        status, body = fault.status, b""
        if status:
            body = _errors(status)
            if status == 401:
                headers["WWW-Authenticate"] = 'Basic realm="tests"'
            if status in {429, 503}:
                headers["Retry-After"] = str(fault.retry_after)
        elif fault.html:
            status, kind, body = 200, "text/html", HTML
        elif fault.redirect:
            status, headers["Location"] = 307, f"http://{self.proxy.address}{self.path}"
        elif not self.proxy.admits(path, self.headers.get("Authorization", "")):
            status, body = 401, _errors(401)
            scope = f"repository:{about(path)[0]}:pull,push"
            realm = f"http://{self.proxy.address}{TOKEN}"
            bearer = f'Bearer realm="{realm}",service="tests",scope="{scope}"'
            headers["WWW-Authenticate"] = bearer
        elif path == TOKEN:
            token = self.proxy.token()
            body = json.dumps({"token": token, "access_token": token, "expires_in": 300}).encode()
            status = 200
        else:
            return False
        for _ in self.body():
            pass
        self.note(path, status)
        self.send(status, {"Content-Type": kind, **headers}, body, fault)
        return True

    def send(self, status: int, headers: dict[str, str], body: bytes, fault: Fault) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.put(body, fault)

    def put(self, data: bytes | memoryview, fault: Fault) -> None:
        """Write to the client, as slowly as it is to be."""
        if not fault.drip:
            self.wfile.write(data)
            return
        for byte in bytes(data):
            self.wfile.write(bytes((byte,)))
            self.pause(fault)

    def pause(self, fault: Fault) -> None:
        if self.server.ended.wait(fault.drip):
            raise _Cut

    def break_off(self, fault: Fault) -> NoReturn:
        """End a body, or the whole connection, here, in the way that is asked for."""
        if fault.hang:
            self.server.ended.wait()
        if fault.reset:
            # No time to linger: closing sends RST in place of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
        raise _Cut

    @contextlib.contextmanager
    def asked(self, path: str, fault: Fault) -> Iterator[http.client.HTTPResponse]:
        """Ask the registry; a connection that it closed meanwhile is opened again."""
        has_body = self.has_body()
        try:
            answer = self.response(path, fault, has_body=has_body)
        except (http.client.RemoteDisconnected, ConnectionError):
            self.registry.close()
            if has_body:
                raise
            answer = self.response(path, fault, has_body=False)
        with answer:
            yield answer

    def response(self, path: str, fault: Fault, *, has_body: bool) -> http.client.HTTPResponse:
        self.ask()
        if has_body:
            self.send_on(path, fault)
        return self.registry.getresponse()

    def ask(self) -> None:
        # The client's Host goes on, so that the registry's Location headers lead back here.
        self.registry.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP | {"expect", "authorization"}:
                self.registry.putheader(name, value)
        # A client has no password for the proxy's own address: the embedded engine's is added here.
        if authorization := credentials.authorization(engine_folders()):
            self.registry.putheader("Authorization", authorization)
        if self.chunked():
            self.registry.putheader("Transfer-Encoding", "chunked")
        self.registry.endheaders()

    def send_on(self, path: str, fault: Fault) -> None:
        """Send the request's body on, or half of it and break off."""
        chunked = self.chunked()
        whole = int(self.headers.get("Content-Length") or 0)
        sent = 0
        for piece in self.body(1 if fault.drip else PIECE):
            if fault.breaks and (chunked or sent + len(piece) > whole // 2):
                self.break_off(fault)
            if fault.drip:
                self.pause(fault)
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

    def body(self, most: int = PIECE) -> Iterator[memoryview]:
        """Yield the request's body in pieces, which are valid until the next one."""
        if not self.chunked():
            yield from self.exactly(int(self.headers.get("Content-Length") or 0), most)
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield from self.exactly(size, most)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers

    def exactly(self, size: int, most: int) -> Iterator[memoryview]:
        while size:
            got = self.rfile.readinto(self.piece[: min(size, most)])
            if not got:
                raise _Cut
            size -= got
            yield self.piece[:got]

    def send_back(self, answer: http.client.HTTPResponse, path: str, fault: Fault) -> None:
        bare = self.command == "HEAD" or answer.status in {204, 304}
        whole = int(answer.headers.get("Content-Length") or 0)
        chunked = not bare and "Content-Length" not in answer.headers
        self.send_head(answer, fault, chunked=chunked)
        sent = 0
        while not bare and (got := answer.readinto(self.piece)):
            piece = self.piece[:got]
            if fault.corrupt and not sent:
                piece[0] ^= 1
            if fault.breaks and sent + got > whole // 2:
                self.put(piece[: max(0, whole // 2 - sent)], fault)
                self.break_off(fault)
            if fault.length < 0:
                piece = piece[: max(0, whole + fault.length - sent)]
            if self.command == "GET":
                self.proxy.count(path, pulled=got)
            self.put(b"".join((b"%x\r\n" % got, piece, b"\r\n")) if chunked else piece, fault)
            sent += got
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        if answer.will_close:
            self.registry.close()
        if fault.length > 0 and not bare:
            raise _Cut

    def send_head(self, answer: http.client.HTTPResponse, fault: Fault, *, chunked: bool) -> None:
        self.send_response_only(answer.status, answer.reason)
        changed = {"docker-content-digest": fault.digest} if fault.digest else {}
        if fault.length:
            whole = int(answer.headers.get("Content-Length") or 0)
            changed["content-length"] = str(max(0, whole + fault.length))
        for name, value in answer.headers.items():
            if name.lower() == "location":
                value = value.replace(f"//{self.proxy.upstream}/", f"//{self.proxy.address}/")  # noqa: PLW2901 - the same header
            if name.lower() not in _HOP:
                self.send_header(name, changed.get(name.lower(), value))
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()


def _errors(status: int) -> bytes:
    """Return a registry's own form of an error."""
    code = _CODES.get(status, "UNKNOWN")
    return json.dumps({"errors": [{"code": code, "message": "a fault of the tests"}]}).encode()
