"""The proxy that the tests and benchmarks put before a registry, before a tiny one."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from registry_proxy import FOREVER, HTML, TOKEN, Proxy, Request, proxied, silent

BLOB = bytes(range(256)) * 8192
BLOB_PATH = "/v2/a/b/blobs/sha256:1"


class Upstream(BaseHTTPRequestHandler):
    """Just enough of a registry: one blob, in whole, in part or in chunks; uploads; a slow end."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.endswith("/chunked"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\none\r\n4\r\n two\r\n0\r\n\r\n")
            return
        wanted = self.headers.get("Range")
        body = BLOB
        if wanted:
            first, last = map(int, wanted.removeprefix("bytes=").split("-"))
            body = BLOB[first : last + 1]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", "sha256:1")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def do_POST(self) -> None:
        self.send_response(202)
        self.send_header("Location", f"http://{self.headers['Host']}/v2/a/b/blobs/uploads/1?x=y")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("X-Got", f"{len(body)} {sum(body)} {self.headers.get('Expect')}")
        self.send_header("X-Path", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_DELETE(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: uploads are cut."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Server(("127.0.0.1", 0), Upstream) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        with proxied(f"127.0.0.1:{server.server_port}") as proxy:
            yield proxy
        server.shutdown()
        thread.join()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(proxy.address, timeout=10)
    yield connection
    connection.close()


def get(client: http.client.HTTPConnection, path: str = BLOB_PATH, method: str = "GET") -> bytes:
    client.request(method, path)
    return client.getresponse().read()


def status(client: http.client.HTTPConnection, path: str, method: str = "GET") -> int:
    client.request(method, path)
    answer = client.getresponse()
    answer.read()
    return answer.status


def upload(client: http.client.HTTPConnection) -> int:
    """Upload a blob and return the answer's status, 0 where the connection ends before one."""
    try:
        client.request("PUT", "/v2/a/b/blobs/uploads/1", body=BLOB)
        answer = client.getresponse()
        answer.read()
    except ConnectionError:
        client.close()
        return 0
    return answer.status


def test_bodies_pass_whole_and_are_counted(
    proxy: Proxy, client: http.client.HTTPConnection
) -> None:
    assert get(client) == BLOB
    assert get(client, "/v2/c/manifests/latest") == BLOB
    assert get(client, "/v2/c/manifests/chunked") == b"one two"
    seen = proxy.traffic()
    assert seen.pulls == {("a/b", "blob"): len(BLOB), ("c", "manifest"): len(BLOB) + 7}
    assert (seen.pulled, seen.pushed, seen.requests) == (2 * len(BLOB) + 7, 0, 3)
    proxy.reset()
    assert proxy.traffic().requests == 0


def test_a_connection_serves_many_requests(
    proxy: Proxy, client: http.client.HTTPConnection
) -> None:
    get(client)
    first = client.sock
    assert get(client, method="HEAD") == b""
    assert status(client, BLOB_PATH, "DELETE") == 204
    assert get(client) == BLOB
    assert client.sock is first
    assert proxy.requests[1] == Request("HEAD", BLOB_PATH, 200)
    assert proxy.traffic().pulled == 2 * len(BLOB)  # a HEAD's length is no body


def test_a_range_and_headers_pass(client: http.client.HTTPConnection) -> None:
    client.request("GET", BLOB_PATH, headers={"Range": "bytes=5-9"})
    answer = client.getresponse()
    assert (answer.status, answer.read()) == (206, BLOB[5:10])
    assert answer.headers["Docker-Content-Digest"] == "sha256:1"


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_passes_and_leads_back_here(
    proxy: Proxy, client: http.client.HTTPConnection, chunked: bool
) -> None:
    client.request("POST", "/v2/a/b/blobs/uploads/")
    answer = client.getresponse()
    answer.read()
    where = answer.headers["Location"]
    assert where == f"http://{proxy.address}/v2/a/b/blobs/uploads/1?x=y"
    path = where.removeprefix(f"http://{proxy.address}")
    pieces = iter([BLOB[:70_000], BLOB[70_000:]])
    client.request("PUT", path, body=pieces if chunked else BLOB, encode_chunked=chunked)
    answer = client.getresponse()
    answer.read()
    assert answer.headers["X-Got"] == f"{len(BLOB)} {sum(BLOB)} None"
    assert answer.headers["X-Path"] == path
    assert proxy.traffic().pushes == {("a/b", "blob"): len(BLOB)}


@pytest.mark.parametrize("code", [401, 404, 429, 500, 503])
def test_a_fault_happens_as_often_as_it_is_told_to(
    proxy: Proxy, client: http.client.HTTPConnection, code: int
) -> None:
    fault = proxy.fault(r"/blobs/sha256:\d$", status=code, times=2, after=1)
    codes = [status(client, BLOB_PATH, method) for method in ("GET", "HEAD", "GET", "GET")]
    assert codes == [200, code, code, 200]
    assert (fault.seen, fault.happened) == (4, 2)
    assert status(client, "/v2/a/b/manifests/x") == 200


def test_a_fault_says_what_a_registry_says(
    proxy: Proxy, client: http.client.HTTPConnection
) -> None:
    proxy.fault("x", status=429, retry_after=3)
    proxy.fault("y", status=401)
    client.request("GET", "/v2/x/manifests/1")
    answer = client.getresponse()
    assert b'"TOOMANYREQUESTS"' in answer.read()
    assert answer.headers["Retry-After"] == "3"
    client.request("GET", "/v2/y/manifests/1")
    answer = client.getresponse()
    assert b'"UNAUTHORIZED"' in answer.read()
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="tests"'
    proxy.clear()
    assert status(client, "/v2/x/manifests/1") == 200


def test_an_answer_is_cut_in_its_middle(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.fault("/blobs/", cut=True, times=1)
    client.request("GET", BLOB_PATH)
    answer = client.getresponse()
    assert answer.headers["Content-Length"] == str(len(BLOB))
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    assert caught.value.partial == BLOB[: len(BLOB) // 2]
    client.close()
    assert proxy.requests[-1] == Request("GET", BLOB_PATH, 0)
    assert get(client) == BLOB


def test_an_upload_is_cut_in_its_middle(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.fault("/blobs/uploads/", method="PUT", cut=True, times=1)
    assert upload(client) == 0
    assert proxy.traffic().pushed <= len(BLOB) // 2
    assert upload(client) == 201


def test_a_refused_upload_leaves_the_connection_in_order(
    proxy: Proxy, client: http.client.HTTPConnection
) -> None:
    proxy.fault("/uploads/", method="PUT", status=500, times=1)
    assert [upload(client), upload(client)] == [500, 201]


def test_a_stall_only_delays(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.fault("/blobs/", stall=0.3, times=1)
    began = time.monotonic()
    assert get(client) == BLOB
    assert 0.3 <= time.monotonic() - began < 5


def test_the_end_waits_for_no_stall(proxy: Proxy) -> None:
    began = time.monotonic()
    with proxied(proxy.upstream) as other:
        other.fault("/blobs/", stall=60)
        client = http.client.HTTPConnection(other.address, timeout=10)
        client.request("GET", BLOB_PATH)
        time.sleep(0.1)
    client.close()
    assert time.monotonic() - began < 5


def test_many_connections_at_once(proxy: Proxy) -> None:
    def pull(_: int) -> bytes:
        client = http.client.HTTPConnection(proxy.address, timeout=30)
        try:
            return get(client)
        finally:
            client.close()

    with ThreadPoolExecutor(16) as pool:
        assert all(body == BLOB for body in pool.map(pull, range(64)))
    assert proxy.traffic().pulled == 64 * len(BLOB)


def test_who_tries_tls_is_told_in_words_of_http(proxy: Proxy) -> None:
    """BuildKit tries TLS first, and takes an answer that begins with HTTP/ for plain HTTP."""
    host, _, port = proxy.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00")
        assert connection.recv(100).startswith(b"HTTP/1.0 400")


def test_a_registry_that_is_gone_ends_the_connection() -> None:
    with proxied("127.0.0.1:1") as proxy:
        client = http.client.HTTPConnection(proxy.address, timeout=10)
        client.request("GET", BLOB_PATH)
        with pytest.raises(http.client.RemoteDisconnected):
            client.getresponse()
        client.close()


def test_a_stall_for_ever_ends_with_the_proxy(proxy: Proxy) -> None:
    with proxied(proxy.upstream) as other:
        other.fault("/blobs/", stall=FOREVER)
        client = http.client.HTTPConnection(other.address, timeout=0.3)
        client.request("GET", BLOB_PATH)
        with pytest.raises(TimeoutError):
            client.getresponse()
    client.close()


def test_an_answer_hangs_in_its_middle(proxy: Proxy) -> None:
    proxy.fault("/blobs/", hang=True)
    client = http.client.HTTPConnection(proxy.address, timeout=0.5)
    client.request("GET", BLOB_PATH)
    answer = client.getresponse()
    assert answer.read(len(BLOB) // 2) == BLOB[: len(BLOB) // 2]
    with pytest.raises(TimeoutError):
        answer.read(1)
    client.close()


def test_an_upload_hangs_in_its_middle(proxy: Proxy) -> None:
    proxy.fault("/blobs/uploads/", method="PUT", hang=True)
    client = http.client.HTTPConnection(proxy.address, timeout=0.5)
    with pytest.raises(TimeoutError):
        upload(client)
    client.close()
    assert proxy.traffic().pushed <= 2 * len(BLOB)


@pytest.mark.parametrize("path", ["/v2/c/manifests/x", "/v2/c/manifests/chunked"])
def test_an_answer_drips(proxy: Proxy, client: http.client.HTTPConnection, path: str) -> None:
    proxy.fault("/manifests/", drip=0.1)
    client.request("GET", path)
    answer = client.getresponse()
    began = time.monotonic()
    answer.read(4)  # the first byte may have come with the headers
    assert time.monotonic() - began >= 0.2
    client.close()


def test_an_upload_drips(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.fault("/manifests/", method="PUT", drip=0.1)
    began = time.monotonic()
    client.request("PUT", "/v2/c/manifests/x", body=b"four")
    assert client.getresponse().status == 201
    assert time.monotonic() - began >= 0.4


def test_a_length_that_is_a_lie(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.fault("/blobs/", length=10, times=1)
    proxy.fault("/blobs/", length=-10)
    client.request("GET", BLOB_PATH)
    answer = client.getresponse()
    assert answer.headers["Content-Length"] == str(len(BLOB) + 10)
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    client.close()
    assert get(client) == BLOB[:-10]
    assert get(client, "/v2/a/b/manifests/x") == BLOB  # and the connection is in order


def test_a_digest_that_is_a_lie(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.fault("/blobs/", digest="sha256:0", corrupt=True)
    client.request("GET", BLOB_PATH)
    answer = client.getresponse()
    assert answer.headers["Docker-Content-Digest"] == "sha256:0"
    body = answer.read()
    assert (body[0], body[1:]) == (BLOB[0] ^ 1, BLOB[1:])


def test_a_page_for_people(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.fault("/manifests/", html=True)
    client.request("GET", "/v2/c/manifests/x")
    answer = client.getresponse()
    assert (answer.status, answer.headers["Content-Type"], answer.read()) == (
        200,
        "text/html",
        HTML,
    )


def test_a_redirect_leads_back_to_itself(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.fault("/blobs/", redirect=True)
    client.request("GET", f"{BLOB_PATH}?x=y")
    answer = client.getresponse()
    answer.read()
    assert answer.status == 307
    assert answer.headers["Location"] == f"http://{proxy.address}{BLOB_PATH}?x=y"


@pytest.mark.parametrize("cut", [False, True])
def test_a_reset(proxy: Proxy, client: http.client.HTTPConnection, cut: bool) -> None:
    proxy.fault("/blobs/", reset=True, cut=cut, times=1)
    with pytest.raises(ConnectionResetError):
        get(client)
    client.close()
    assert get(client) == BLOB


def test_a_token_is_asked_for_and_expires(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.guard(uses=2)
    client.request("GET", BLOB_PATH)
    answer = client.getresponse()
    answer.read()
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer realm="http://{proxy.address}{TOKEN}",service="tests",'
        'scope="repository:a/b:pull,push"'
    )
    token = json.loads(get(client, TOKEN))["token"]
    codes = []
    for _ in range(3):
        client.request("GET", BLOB_PATH, headers={"Authorization": f"Bearer {token}"})
        answer = client.getresponse()
        answer.read()
        codes.append(answer.status)
    assert codes == [200, 200, 401]
    proxy.guard()
    token = json.loads(get(client, TOKEN))["token"]
    client.request("GET", BLOB_PATH, headers={"Authorization": f"Bearer {token}"})
    assert client.getresponse().status == 200


def test_a_silent_registry_says_nothing() -> None:
    with silent() as address:
        client = http.client.HTTPConnection(address, timeout=0.3)
        client.request("GET", BLOB_PATH)
        with pytest.raises(TimeoutError):
            client.getresponse()
        client.close()
