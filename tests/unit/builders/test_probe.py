"""Whether nodes answer: asked through real sockets, without a program."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.builders import nodes, probe
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import CommandError, CommandTimeout, NetworkError
from build_tasks.model.builder import Builder, Node
from build_tasks.process import Command, Completed

HERE = Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": "/c"})
SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


@contextlib.contextmanager
def listening(server: socket.socket, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    server.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


def a_port() -> tuple[socket.socket, str]:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    return server, f"tcp://127.0.0.1:{server.getsockname()[1]}"


def a_node(endpoint: str, driver: str = "remote", **options: str) -> Builder:
    node = Node("farm0", endpoint, (), tuple(options.items()), ())
    return Builder("farm", driver, (node,))


def reason(builder: Builder) -> str:
    return "; ".join(probe.silent_nodes(HERE, builder, builder.nodes).values())


def greet(connection: socket.socket) -> None:
    assert connection.recv(100).startswith(b"PRI * HTTP/2.0")
    connection.sendall(SETTINGS[:4])
    connection.sendall(SETTINGS[4:])


def test_a_buildkit_answers_with_its_settings() -> None:
    server, endpoint = a_port()
    with listening(server, greet):
        probe.require(HERE, a_node(endpoint), a_node(endpoint).nodes)


def test_a_buildkit_on_a_socket_answers(tmp_path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{tmp_path}/x")
    with listening(server, greet):
        assert reason(a_node(f"unix://{tmp_path}/x")) == ""
    assert reason(a_node(f"unix://{tmp_path}/none")) == "No such file or directory"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda connection: connection.recv(100), "it closed the connection at once"),
        (
            lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n"),
            "it is not a BuildKit",
        ),
    ],
)
def test_what_is_no_buildkit_is_said(answer: Callable[[socket.socket], None], why: str) -> None:
    server, endpoint = a_port()

    def after_all(connection: socket.socket) -> None:
        answer(connection)
        while connection.recv(100):  # not closed while something is unread: that resets it
            pass

    with listening(server, answer if "closed" in why else after_all):
        assert reason(a_node(endpoint)) == why


def test_a_node_that_hangs_is_named_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ANSWER", 0.2)
    server, endpoint = a_port()
    done = threading.Event()

    def hang(_: socket.socket) -> None:
        done.wait(60)

    with listening(server, hang):
        began = time.monotonic()
        builder = a_node(endpoint)
        with pytest.raises(NetworkError) as caught:
            probe.require(HERE, builder, builder.nodes)
        done.set()
    assert time.monotonic() - began < 10  # 2 s were too few on a busy machine
    assert str(caught.value) == (
        f"builder farm: node farm0 ({endpoint}) does not answer: nothing came in 0.2 s"
    )


def test_a_name_that_is_looked_up_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ANSWER", 0.1)
    monkeypatch.setattr(probe, "_MARGIN", 0.1)
    done = threading.Event()

    def look_up(*_: object) -> None:
        done.wait(5)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", look_up)
    before = set(threading.enumerate())
    assert reason(a_node("tcp://slow.example.com:1")) == "nothing came in 0.1 s"
    done.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)


def test_a_dead_node_is_said() -> None:
    server, endpoint = a_port()
    server.close()
    assert reason(a_node(endpoint)) == "Connection refused"


def test_certificates_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason(a_node("tcp://x:1", cacert="/none.pem")) == "cacert: no such file: /none.pem"
    server, endpoint = a_port()
    for name in ("ca.pem", "c.pem", "c.key"):
        (tmp_path / name).write_text("")
    used: list[object] = []

    class Context:
        def set_alpn_protocols(self, names: list[str]) -> None:
            used.append(names)

        def load_cert_chain(self, *files: str) -> None:
            used.append(files)

        def wrap_socket(self, plain: socket.socket, server_hostname: str) -> socket.socket:
            used.append(server_hostname)
            return plain

    def context(cafile: str) -> Context:
        used.append(cafile)
        return Context()

    monkeypatch.setattr(ssl, "create_default_context", context)
    files = {name: f"{tmp_path}/{file}" for name, file in (("cert", "c.pem"), ("key", "c.key"))}
    with listening(server, greet):
        node = a_node(endpoint, cacert=f"{tmp_path}/ca.pem", servername="arm", **files)
        assert reason(node) == ""
    assert used == [f"{tmp_path}/ca.pem", ["h2"], (files["cert"], files["key"]), "arm"]
    used.clear()
    assert "refused" in reason(a_node(endpoint, cacert=f"{tmp_path}/ca.pem"))
    assert used == []


def test_an_engine_elsewhere_is_asked_for_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        asked.append(command)
        if command[2] == "ssh://slow":
            raise CommandTimeout("no end after 4 s")
        return Completed(command, 0, "28", "")

    monkeypatch.setattr(process, "run", run)
    for endpoint in ("unix:///run/docker.sock", "default"):
        assert reason(a_node(endpoint, "docker-container")) == ""
    assert asked == []
    assert reason(a_node("ssh://x", "docker-container")) == ""
    assert reason(a_node("arm", "docker-container")) == ""
    assert reason(a_node("ssh://slow", "docker-container")) == "no end after 4 s"
    version = ("version", "--format", "{{.Server.Version}}")
    assert asked[0] == ("docker", "--host", "ssh://x", *version)
    assert asked[1] == ("docker", "--context", "arm", *version)


def test_a_cluster_is_asked_through_buildx(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: Client, name: str, timeout: float) -> None:
        assert (name, timeout) == ("farm", probe.ANSWER)
        raise CommandError("the cluster is gone")

    monkeypatch.setattr(nodes, "read", read)
    assert reason(a_node("kubernetes:///farm", "kubernetes")) == "the cluster is gone"
    assert reason(a_node("kube-pod://x")) == "the cluster is gone"
    assert reason(a_node("x", "docker")) == ""
