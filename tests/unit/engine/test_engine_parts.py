from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.engine import (
    apt,
    bases,
    embedded,
    emulation,
    firewall,
    handle,
    machine,
    network,
    packages,
    ready,
    registry,
    state,
)
from build_tasks.engine.handle import Embedded
from build_tasks.engine.state import Daemon, Folders, Running
from build_tasks.errors import CommandError, DiskError, EngineError, NetworkError
from build_tasks.process import Command, Completed, heartbeat, locks

ENGINE = Embedded(
    docker=Path("docker"),
    buildx=Path("docker-buildx"),
    host="unix:///x",
    registry="127.0.0.1:1",
    hub=False,
    release="unstable",
    ca_bundle=None,
)


class Programs:
    """Stands in for process.run: answers by the first words of a command."""

    def __init__(self, **answers: tuple[int, str, str]) -> None:
        self.answers = answers
        self.commands: list[Command] = []

    def __call__(self, command: Command, *, check: bool = True, **_: object) -> Completed:
        self.commands.append(command)
        code, out, err = self.answers.get(Path(command[0]).name.replace("-", "_"), (0, "", ""))
        if code and check:
            raise CommandError(f"{command[0]}: {err}")
        return Completed(command, code, out, err)


def programs(monkeypatch: pytest.MonkeyPatch, **answers: tuple[int, str, str]) -> Programs:
    stand_in = Programs(**answers)
    monkeypatch.setattr(process, "run", stand_in)
    return stand_in


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    monkeypatch.setattr(Folders, "run", tmp_path / "run")
    return Folders(tmp_path / "engine")


def test_two_cache_folders_make_two_engines() -> None:
    one, other = Folders(Path("/a/engine")), Folders(Path("/b/engine"))
    assert one.bridge != other.bridge
    assert one.run != other.run
    assert len(one.bridge) <= 15
    assert len(str(one.socket)) < 60


def test_what_runs_is_written_down_and_read_again(where: Folders) -> None:
    assert state.read(where) is None
    running = Running("unstable", "127.0.0.1:5000", True, {"dockerd": Daemon(1, 2)}, ("arm64",))
    state.forget(where)
    state.write(where, running)
    assert state.read(where) == running
    state.forget(where)
    assert state.read(where) is None


def test_what_another_version_wrote_still_names_its_daemons(where: Folders) -> None:
    where.run.mkdir(parents=True)
    text = json.dumps({**STATE, "schema": 99, "colour": "red"})
    (where.run / "running.json").write_text(text)
    assert state.read(where) == Running("unstable", "x:1", False, {"dockerd": Daemon(1, 2)})


STATE: dict[str, object] = {
    "schema": 2,
    "release": "unstable",
    "registry": "x:1",
    "hub": False,
    "daemons": {"dockerd": {"pid": 1, "started": 2, "colour": "red"}},
}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps({**STATE, "schema": 1}),
        json.dumps({**STATE, "daemons": None}),
        json.dumps({**STATE, "daemons": {"dockerd": 1}}),
        json.dumps({**STATE, "daemons": {"dockerd": {"pid": "x", "started": 1}}}),
        json.dumps({**STATE, "foreign": 1}),
    ],
)
def test_what_is_no_state_of_an_engine_is_none(where: Folders, text: str) -> None:
    where.run.mkdir(parents=True)
    (where.run / "running.json").write_text(text)
    assert state.read(where) is None


def test_an_engine_runs_only_when_both_daemons_do() -> None:
    here = state.daemon(os.getpid())
    other = Daemon(here.pid, here.started + 1)
    assert not Running("unstable", "x:1", False, {}).complete
    assert not Running("unstable", "x:1", False, {"dockerd": here}).complete
    assert not Running("unstable", "x:1", False, {"dockerd": here, "registry": other}).complete
    assert Running("unstable", "x:1", False, {"dockerd": here, "registry": here}).complete


def test_what_has_to_last_lasts(where: Folders) -> None:
    assert state.remembered(where, "port") == ""
    assert state.remember(where, "port", "5000") == "5000"
    state.remember(where, "network", "10.0.0.0/24")
    assert state.remembered(where, "port") == "5000"


def test_a_recycled_process_id_is_not_ours() -> None:
    here = state.daemon(os.getpid())
    assert state.alive(here)
    assert not state.alive(Daemon(here.pid, here.started + 1))
    assert not state.alive(Daemon(4_194_304, 0))
    state.end([Daemon(here.pid, here.started + 1)])  # and is not ended


def test_releases_are_tried_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert packages.release_wanted() == ("unstable", "trixie")
    monkeypatch.setenv(packages.RELEASE_VARIABLE, "trixie")
    assert packages.release_wanted() == ("trixie",)
    monkeypatch.setenv(packages.RELEASE_VARIABLE, "woody")
    with pytest.raises(EngineError, match="unknown release 'woody': choose unstable, trixie"):
        packages.release_wanted()


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b", "a\nb", 'a"b', "caf\udce9"])
def test_an_engine_is_not_put_where_it_cannot_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", str(tmp_path / name))
    with pytest.raises(EngineError, match=r"the embedded engine cannot live in .*CACHE") as caught:
        packages.supported()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("uid", "missing", "said"),
    [
        (1000, "", "needs root: become root, or install Docker Engine"),
        (0, "dpkg", "needs Debian's apt and its keys: install Docker Engine"),
        (0, "ip", "needs the program ip: install iproute2"),
        (0, "", ""),
    ],
)
def test_a_machine_that_cannot_have_an_engine_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uid: int, missing: str, said: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(apt, "KEYRING", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else name)
    if not said:
        return packages.supported()
    with pytest.raises(EngineError, match=said):
        packages.supported()
    return None


@pytest.mark.parametrize(
    "release", [{"ID": "fedora", "PRETTY_NAME": "Fedora 43"}, {"ID": "debian"}, OSError()]
)
def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch, release: object) -> None:
    def says() -> object:
        if isinstance(release, OSError):
            raise release
        return release

    monkeypatch.setattr(platform, "freedesktop_os_release", says)
    with pytest.raises(EngineError, match=r"made of Debian's packages, and this is (Fedora|this)"):
        packages.codename()


def test_the_mirror_is_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "codename", lambda: "bookworm")
    programs(monkeypatch, apt_get=(0, "nodistro http://x/\nbookworm http://mirror/debian/\n", ""))
    assert packages.mirror() == "http://mirror/debian/"
    programs(monkeypatch, apt_get=(0, "nodistro http://x/\n", ""))
    with pytest.raises(EngineError, match="apt has no source for bookworm"):
        packages.mirror()


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("E: You don't have enough free space in /x\n", DiskError),
        ("E: Failed to fetch http://x  Temporary failure resolving\n", NetworkError),
        ("E: Unable to locate package x\n", CommandError),
        ("W: GPG error: x NO_PUBKEY 1\nE: Failed to fetch http://x\n", CommandError),
    ],
)
def test_a_failure_of_apt_has_its_class(stderr: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="the packages: E: ") as caught:
        apt.check(Completed((), 100, "", f"W: first\n{stderr}"), "the packages")
    assert "\n" not in str(caught.value)


def test_an_engine_that_does_not_run_here_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs(monkeypatch)
    assert packages.runs(tmp_path)
    programs(monkeypatch, dockerd=(1, "", "GLIBC_2.99 not found"))
    assert not packages.runs(tmp_path)


def test_the_older_release_is_taken_where_the_newer_does_not_run(
    monkeypatch: pytest.MonkeyPatch, where: Folders
) -> None:
    monkeypatch.setattr(packages, "unpack", lambda _, release, __: Path(release))
    monkeypatch.setattr(packages, "runs", lambda root: root == Path("trixie"))
    said: list[str] = []
    assert embedded._packages(where, said.append) == ("trixie", Path("trixie"))
    assert said == ["the engine of Debian unstable does not run on this machine"]
    monkeypatch.setattr(packages, "runs", lambda _: False)
    with pytest.raises(EngineError, match="no engine of Debian runs on this machine"):
        embedded._packages(where, said.append)


def test_a_bridge_gets_a_network_that_nobody_has(
    monkeypatch: pytest.MonkeyPatch, where: Folders
) -> None:
    start = int(where.short[:2], 16)
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": f"172.29.{start}.0/24", "dev": "docker0"},
        {"dst": f"172.29.{(start + 1) % 256}.7", "dev": "tun0"},
        {"dst": f"172.29.{(start + 2) % 256}.0/24", "dev": where.bridge},
    ]
    ran = programs(monkeypatch, ip=(0, json.dumps(routes), ""))
    network_file = where.home / "data/network/files/local-kv.db"
    network_file.parent.mkdir(parents=True)
    assert network.make_bridge(where) == f"172.29.{(start + 2) % 256}.0/24"
    gateway = f"172.29.{(start + 2) % 256}.1/24"
    assert ("ip", "address", "replace", gateway, "dev", where.bridge) in ran.commands
    assert not network_file.parent.exists()  # dockerd would bring back the addresses of before
    network_file.parent.mkdir(parents=True)
    network.make_bridge(where)
    assert network_file.parent.exists()
    taken = json.dumps([{"dst": "172.29.0.0/16", "dev": "vpn"}])
    ran = programs(monkeypatch, ip=(0, taken, ""))
    assert network.make_bridge(where) == f"10.213.{start}.0/24"


def test_a_kernel_without_bridges_is_one_line(
    monkeypatch: pytest.MonkeyPatch, where: Folders
) -> None:
    programs(monkeypatch, ip=(2, "", "RTNETLINK answers: Operation not supported\n"))
    with pytest.raises(
        EngineError, match=r"cannot make the bridge afi-\w+: RTNETLINK .*supported$"
    ):
        network.make_bridge(where)


def test_no_free_network_and_no_free_port_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = [network.Network("0.0.0.0/0")]
    with pytest.raises(EngineError, match="no private network is free"):
        network._free(everything, 7)
    monkeypatch.setattr(network, "_PORTS", ())
    with pytest.raises(EngineError, match=r"no port of 127\.0\.0\.1 is free"):
        network.free_port("")


def test_the_registrys_port_is_kept_where_it_can_be() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = network.free_port(str(port))
    assert other != port
    assert network.free_port(str(port)) == port


def test_the_bridges_rules_are_made_once_and_removed_whatever_their_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = programs(monkeypatch)  # iptables knows every rule
    firewall.open_for("afi-1", "172.29.0.0/24", {})
    assert {command[3] for command in ran.commands} == {"-C"}
    ran = programs(monkeypatch, iptables=(1, "", ""))
    with pytest.raises(CommandError):
        firewall.open_for("afi-1", "172.29.0.0/24", {})
    listing = """\
-P FORWARD ACCEPT
-A FORWARD -i afi-1 -j ACCEPT
-A FORWARD -i afi-12 -m comment --comment "about afi-1" -j ACCEPT
-A POSTROUTING -s 10.0.0.0/24 ! -o afi-1 -j MASQUERADE
"""
    ran = programs(monkeypatch, iptables=(0, listing, ""))
    firewall.close_for("afi-1", {})
    removed = [command for command in ran.commands if "-D" in command]
    assert len(removed) == 2 * 2  # the table is the same each time that it is asked for
    forward = ("iptables", "-t", "filter", "-D", "FORWARD", "-i", "afi-1", "-j", "ACCEPT")
    assert forward in removed


def test_waiting_ends_with_an_answer_an_end_or_the_time() -> None:
    ready.wait(lambda: True, iter([False, True]).__next__, 5)
    with pytest.raises(TimeoutError):
        ready.wait(lambda: False, lambda: False, 5)
    with pytest.raises(TimeoutError):
        ready.wait(lambda: True, lambda: False, 0.2)


def test_a_stand_in_says_what_debian_has() -> None:
    assert bases.reference(ENGINE, "3.9") == "127.0.0.1:1/debian-python:3.9"
    with pytest.raises(EngineError, match=r"no base image for Python 3\.10: .* 3\.9, 3\.11, 3\.13"):
        bases.reference(ENGINE, "3.10")


def test_a_stand_in_is_made_of_packages() -> None:
    command = bases.bootstrap_command("bullseye", "arm64", Path("x.tar"))
    assert command[0] == "mmdebstrap"
    assert "--architectures=arm64" in command
    assert command[-2:] == ("bullseye", "x.tar")
    assert not [word for word in command if "Check-Valid-Until" in word]
    late = bases.bootstrap_command("unstable", "amd64", Path("x.tar"), "http://mirror/", late=True)
    assert '--aptopt=Acquire::Check-Valid-Until "false"' in late
    assert late[-3:] == ("unstable", "x.tar", "http://mirror/")


def test_a_stand_in_is_made_whole_where_a_run_was_killed_before_its_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A defect once found: the tag stood for amd64 alone, and arm64 was never added to it."""
    digests = {"x:1": "sha256:index", "x:1-amd64": "sha256:a", "x:1-arm64": "sha256:b"}
    text = {"x:1": '{"digest": "sha256:a"}', "x:1-amd64": "{}", "x:1-arm64": "{}"}
    monkeypatch.setattr(registry, "digest", lambda name: digests.get(name, ""))
    monkeypatch.setattr(registry, "manifest", lambda name: text.get(name, ""))
    assert bases._is_made("x:1", ["x:1-amd64"])
    assert not bases._is_made("x:1", ["x:1-amd64", "x:1-arm64"])
    assert not bases._is_made("x:2", ["x:1-amd64"])
    assert not bases._is_made("x:1", ["x:1-other"])


@pytest.mark.parametrize("stderr", ["I: x\nE: no such suite\nI: y\n", "nothing\n"])
def test_a_stand_in_that_cannot_be_made_is_one_line(
    monkeypatch: pytest.MonkeyPatch, stderr: str
) -> None:
    def stream(command: Command, *, line: Callable[[str], None], **_: object) -> Completed:
        for one in stderr.splitlines():
            line(one)
        return Completed(command, 1, "", stderr)

    monkeypatch.setattr(process, "stream", stream)
    monkeypatch.setattr(packages, "mirror", lambda: "http://mirror/")
    with pytest.raises(EngineError, match=r"cannot make \S+ of Debian bullseye: (E: no|mmdeb)"):
        bases.ensure(ENGINE, "3.9", ["amd64"], print)


def test_who_waits_for_a_stand_in_sees_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def stream(command: Command, *, line: Callable[[str], None], **_: object) -> Completed:
        line("I: downloading packages with apt...")
        deadline = time.monotonic() + 10
        while len(said) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        return Completed(command, 1, "", "E: enough")

    monkeypatch.setattr(heartbeat, "INTERVAL", 0.05)
    monkeypatch.setattr(process, "stream", stream)
    monkeypatch.setattr(packages, "mirror", lambda: "")
    with pytest.raises(EngineError):
        bases.ensure(ENGINE, "3.9", ["amd64"], said.append)
    assert said[0] == "making 127.0.0.1:1/debian-python:3.9-amd64 of Debian bullseye, once"
    assert re.fullmatch(
        r"127\.0\.0\.1:1/debian-python:3\.9-amd64: downloading packages with apt, \d+ s so far",
        said[2],
    )


def test_a_registry_that_is_not_there_holds_nothing() -> None:
    assert not registry.holds("127.0.0.1:1/x:y")


def test_the_registry_holds_what_its_own_files_say() -> None:
    name = "127.0.0.1:1/apache/x:y"
    root = state.folders().home / "registry/docker/registry/v2"
    link = root / "repositories/apache/x/_manifests/tags/y/current/link"
    link.parent.mkdir(parents=True)
    link.write_text("sha256:abcd", encoding="utf-8")
    assert not registry.holds(name), "its manifest was collected"
    data = root / "blobs/sha256/ab/abcd/data"
    data.parent.mkdir(parents=True)
    data.write_text("{}", encoding="utf-8")
    assert registry.holds(name)
    assert registry.digest(name) == "sha256:abcd"
    assert not registry.holds("127.0.0.1:1/apache/x:other")


def test_an_emulator_is_told_to_the_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binfmt = tmp_path / "binfmt"
    binfmt.mkdir()
    monkeypatch.setattr(emulation, "_BINFMT", binfmt)
    monkeypatch.setattr(machine, "BINFMT", binfmt)
    monkeypatch.setattr(machine, "_RUN", tmp_path)
    root = tmp_path / "root"
    programs(monkeypatch, mount=(32, "", "mount: unknown filesystem type\n"))
    with pytest.raises(EngineError, match="the kernel has no binfmt_misc: mount: unknown"):
        emulation.enable(root, "arm64", "0123abcd", print)
    (binfmt / "register").touch()
    with pytest.raises(EngineError, match="package of qemu has no qemu-aarch64"):
        emulation.enable(root, "arm64", "0123abcd", print)
    conf = root / "usr/lib/binfmt.d/qemu-aarch64.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(":qemu-aarch64:M::\\x7f:\\xff:/usr/bin/qemu:OP\n")
    assert emulation.enable(root, "arm64", "0123abcd", print)
    rule = (binfmt / "register").read_text()
    assert rule == f":qemu-aarch64-afi-0123abcd:M::\\x7f:\\xff:{root}/usr/bin/qemu:OPF"
    (binfmt / "qemu-aarch64-afi-0123abcd").write_text("enabled\n")
    assert not emulation.enable(root, "arm64", "0123abcd", print)
    assert emulation.enabled("arm64")
    assert not emulation.disable("arm64", "ffffffff")
    assert emulation.disable("arm64", "0123abcd")
    assert (binfmt / "qemu-aarch64-afi-0123abcd").read_text() == "-1"


@pytest.mark.parametrize(
    ("entry", "state", "told"),
    [
        ("qemu-aarch64", "enabled", False),  # the machine's own lasts
        ("qemu-aarch64", "disabled", True),
        ("qemu-aarch64-afi-ffffffff", "enabled", True),  # another engine's goes with it
    ],
)
def test_only_an_emulator_that_lasts_is_relied_upon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: str, state: str, *, told: bool
) -> None:
    monkeypatch.setattr(emulation, "_BINFMT", tmp_path)
    monkeypatch.setattr(machine, "BINFMT", tmp_path)
    monkeypatch.setattr(emulation, "_rule", lambda *_: b"x")
    (tmp_path / "register").touch()
    (tmp_path / entry).write_text(f"{state}\n")
    assert emulation.enabled("arm64") == (state == "enabled")
    assert emulation.enable(tmp_path, "arm64", "0123abcd", print) == told


def test_a_kernel_that_refuses_an_emulator_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(emulation, "_BINFMT", tmp_path)
    monkeypatch.setattr(machine, "BINFMT", tmp_path)
    (tmp_path / "register").mkdir()
    monkeypatch.setattr(emulation, "_rule", lambda *_: b"x")
    with pytest.raises(EngineError, match="the kernel refuses to emulate arm64: "):
        emulation.enable(tmp_path, "arm64", "0123abcd", print)


def test_no_engine_runs_in_a_fresh_folder(where: Folders) -> None:
    assert embedded.running() is None
    assert embedded.status()["running"] is False
    assert embedded.stop(announce=print) == []
    assert embedded.stop(announce=print, purge=True) == []
    assert handle.absence().endswith("start it with: invoke engine.start")
    where = state.folders()
    with locks.hold(where.lock, "starts the embedded engine", print):
        told = f"does not run yet: process {os.getpid()} is starting or stopping it"
        assert handle.absence().endswith(told)


def test_the_engine_builds_for_itself_whatever_builder_the_user_has_chosen() -> None:
    programs = {"docker": Path("d"), "buildx": Path("b")}
    one = Embedded(
        **programs, host="unix:///s", registry="r:1", hub=False, release="trixie", ca_bundle=None
    )
    assert one.environment == {
        "BUILDX_BUILDER": "default",
        "BUILDX_CONFIG": str(state.folders().home.with_name("buildx")),
        "DOCKER_CONFIG": str(state.folders().home / "private/docker"),
        "DOCKER_HOST": "unix:///s",
    }


def test_a_long_log_loses_its_beginning_and_its_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LOG_BYTES", 400)
    log = tmp_path / "dockerd.log"
    state.trim(log)
    with log.open("ab", buffering=0) as writer:
        writer.write(b"a line\n" * 50)
        state.trim(log)
        assert log.stat().st_size == 350
        writer.write(b"a line\n" * 50)
        state.trim(log)
        writer.write(b"the end\n")
    lines = log.read_text().splitlines()
    assert len(lines) < 20
    assert {*lines} == {"a line", "the end"}
