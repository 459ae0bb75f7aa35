from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from build_tasks.engine import network, state
from build_tasks.engine.folders import Folders
from build_tasks.errors import CommandError, EngineError
from build_tasks.process import Command

Programs = Callable[..., list[Command]]


@pytest.fixture(autouse=True)
def forward(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that forwards no packets and has no interface."""
    forward = tmp_path / "ip_forward"
    forward.write_text("0\n")
    (tmp_path / "interfaces").mkdir()
    monkeypatch.setattr(network, "_FORWARD", forward)
    monkeypatch.setattr(network, "_FORWARD_NOTE", tmp_path / "note")
    monkeypatch.setattr(network, "_INTERFACES", tmp_path / "interfaces")
    return forward


def add_bridge(forward: Path, name: str) -> Path:
    path = forward.with_name("interfaces") / name / "bridge"
    path.mkdir(parents=True)
    return path


def test_a_bridge_gets_a_network_that_nothing_else_has(
    programs: Programs, folders: Folders
) -> None:
    start = int(folders.unique_id[:2], 16) % 16
    first, second, third = (f"172.29.{(start + step) % 16 * 16}" for step in range(3))
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": f"{first}.0/24", "dev": "docker0"},
        {"dst": f"{second}.7", "dev": "tun0"},
        {"dst": f"{third}.0/24", "dev": folders.bridge},
    ]
    commands = programs(ip=(0, json.dumps(routes), ""))
    saved = folders.home / "data/network/files/local-kv.db"
    saved.parent.mkdir(parents=True)
    assert network.create_bridge(folders) == f"{third}.0/20"
    gateway = f"{third}.1/24"
    assert ("ip", "link", "add", folders.bridge, "type", "bridge") in commands
    assert ("ip", "address", "replace", gateway, "dev", folders.bridge) in commands
    assert not saved.parent.exists()  # dockerd would restore the former addresses
    saved.parent.mkdir(parents=True)
    network.create_bridge(folders)
    assert saved.parent.exists()
    programs(ip=(0, json.dumps([{"dst": "172.29.0.0/16", "dev": "vpn"}]), ""))
    assert network.create_bridge(folders) == f"10.213.{start * 16}.0/20"


def test_a_bridge_that_exists_is_kept(programs: Programs, folders: Folders, forward: Path) -> None:
    add_bridge(forward, folders.bridge)
    commands = programs(ip=(0, "[]", ""))
    network.create_bridge(folders)
    assert not [command for command in commands if "add" in command]


def test_a_kernel_without_bridges_is_one_line(programs: Programs, folders: Folders) -> None:
    programs(ip=(2, "", "RTNETLINK answers: Operation not supported\n"))
    message = r"cannot create the bridge afi-\w+: RTNETLINK .*supported$"
    with pytest.raises(EngineError, match=message):
        network.create_bridge(folders)


def test_no_free_network_and_no_free_port_are_errors(
    monkeypatch: pytest.MonkeyPatch, programs: Programs, folders: Folders
) -> None:
    programs(ip=(0, json.dumps([{"dst": "0.0.0.0/0", "dev": "vpn"}]), ""))
    with pytest.raises(EngineError, match="no private range of addresses is free"):
        network.create_bridge(folders)
    monkeypatch.setattr(network, "_PORTS", ())
    with pytest.raises(EngineError, match=r"no port of 127\.0\.0\.1 is free"):
        network.free_port("")


def test_the_preferred_port_is_used_if_it_is_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = network.free_port(str(port))
    assert other != port
    assert network.free_port(str(port)) == port


def test_firewall_rules_are_added_once(programs: Programs, folders: Folders) -> None:
    commands = programs(ip=(0, "[]", ""))  # iptables knows every rule
    network.create(folders, {})
    assert {command[3] for command in commands if command[0] == "iptables"} == {"-C"}
    programs(ip=(0, "[]", ""), iptables=(1, "", ""))
    with pytest.raises(CommandError):
        network.create(folders, {})


def test_bridges_and_their_rules_are_removed_whatever_their_network(
    programs: Programs, folders: Folders, forward: Path
) -> None:
    name = folders.bridge
    add_bridge(forward, name)
    listing = f"""\
-P FORWARD ACCEPT
-A FORWARD -i {name} -j ACCEPT
-A FORWARD -i {name}2 -m comment --comment "about {name}" -j ACCEPT
-A POSTROUTING -s 10.0.0.0/20 ! -d 10.0.0.0/20 -m comment --comment {name} -j MASQUERADE
"""
    commands = programs(iptables=(0, listing, ""))
    assert network.remove(folders, {}) == [name]
    removed = [command for command in commands if "-D" in command]
    assert len(removed) == 2 * 2  # the fake iptables lists the same rules for each table
    assert ("iptables", "-t", "filter", "-D", "FORWARD", "-i", name, "-j", "ACCEPT") in removed
    assert ("ip", "link", "delete", name, "type", "bridge") in commands


def test_a_bridge_is_removed_even_if_iptables_fails(
    monkeypatch: pytest.MonkeyPatch, programs: Programs, folders: Folders, forward: Path
) -> None:
    def fail(*_: object) -> None:
        raise CommandError("no iptables")

    add_bridge(forward, folders.bridge)
    programs()
    monkeypatch.setattr(network, "_remove_rules", fail)
    assert network.remove(folders, {}) == [folders.bridge]
    programs(ip=(1, "", "in use"))
    assert network.remove(folders, {}) == []


def test_bridges_of_builders_are_found_in_their_volumes(folders: Folders, forward: Path) -> None:
    for name in (folders.bridge, "afb-01234567", "eth0"):
        add_bridge(forward, name)
    for name, text in (("a", "afb-01234567\n"), ("b", "eth0\n"), ("c", "")):
        file = folders.home / f"data/volumes/{name}/_data/bridge"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    assert network.bridges(folders) == [folders.bridge, "afb-01234567"]


def test_bridges_of_users_networks_are_found_in_dockerds_database(
    programs: Programs, folders: Folders, forward: Path
) -> None:
    for name in ("br-0123456789ab", "br-ba9876543210", "br-lan"):
        add_bridge(forward, name)
    assert network.bridges(folders) == []
    database = folders.home / "data/network/files/local-kv.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"\0docker/network/v1.0/bridge/0123456789abcdef/\0")
    assert network.bridges(folders) == ["br-0123456789ab"]
    own = state.save_setting(folders, "addresses", "172.29.16.0/20")
    routes = [{"dst": own.replace(".0/20", ".0/24"), "dev": "br-0123456789ab"}]
    programs(ip=(0, json.dumps(routes), ""))
    assert network.create_bridge(folders) == own
    programs(ip=(0, json.dumps([{**routes[0], "dev": "br-ba9876543210"}]), ""))
    assert network.create_bridge(folders) != own


def test_forwarding_is_restored_by_the_last_engine(
    programs: Programs, folders: Folders, forward: Path
) -> None:
    programs(ip=(0, "[]", ""))
    network.create(folders, {})
    network.create(folders, {})
    assert forward.read_text() == "1"
    other = add_bridge(forward, "afi-00000000")
    network.remove(folders, {})
    assert forward.read_text() == "1"
    other.rmdir()
    other.parent.rmdir()
    network.remove(folders, {})
    assert forward.read_text() == "0"
    assert not forward.with_name("note").exists()


def test_forwarding_stays_on_if_another_bridge_needs_it(
    programs: Programs, folders: Folders, forward: Path
) -> None:
    programs(ip=(0, "[]", ""))
    network.create(folders, {})
    add_bridge(forward, "docker0")
    network.remove(folders, {})
    assert forward.read_text() == "1"
    assert not forward.with_name("note").exists()


def test_forwarding_that_was_on_stays_on(
    programs: Programs, folders: Folders, forward: Path
) -> None:
    forward.write_text("1\n")
    programs(ip=(0, "[]", ""))
    network.create(folders, {})
    network.remove(folders, {})
    assert forward.read_text() == "1\n"


def test_a_start_that_was_killed_before_it_forwarded_leaves_nothing(
    programs: Programs, folders: Folders, forward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    programs(ip=(0, "[]", ""))
    monkeypatch.setattr(network, "create_bridge", lambda _: "172.29.0.0/24")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            network.create(folders, {})
    network.remove(folders, {})
    assert forward.read_text() == "0"
    assert not forward.with_name("note").exists()
