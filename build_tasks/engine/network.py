"""What the engine needs of the machine's network, and how it is put back afterwards.

The bridge is the engine's own: a daemon never shares, nor deletes, another one's.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Iterator
from pathlib import Path

from build_tasks import process
from build_tasks.engine import state
from build_tasks.engine.state import Folders
from build_tasks.errors import EngineError

Network = ipaddress.IPv4Network

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_TABLES = ("filter", "nat")
#: Tried first for the registry: 5000 is what people expect.
_PORTS = (5000, *range(5010, 5020), 0)


def make_bridge(where: Folders) -> str:
    """Return the name of the engine's bridge, made if it is not there.

    Raises:
        EngineError: no private network is free, or the kernel makes no bridge.
    """
    name = where.bridge
    if process.run(("ip", "link", "show", name), check=False).returncode:
        made = process.run(("ip", "link", "add", name, "type", "bridge"), check=False)
        if made.returncode:
            raise EngineError(f"cannot make the bridge {name}: {made.stderr.strip()}")
    taken = _taken(name)
    kept = state.remembered(where, "network")
    if not kept or any(Network(kept).overlaps(other) for other in taken):
        kept = state.remember(where, "network", str(_free(taken)))
    network = Network(kept)
    gateway = f"{next(network.hosts())}/{network.prefixlen}"
    process.run(("ip", "address", "replace", gateway, "dev", name))
    process.run(("ip", "link", "set", name, "up"))
    return name


def remove_bridge(where: Folders) -> bool:
    """Remove the engine's bridge, and return whether there was one."""
    command = ("ip", "link", "delete", where.bridge, "type", "bridge")
    return not process.run(command, check=False).returncode


def free_port(kept: str) -> int:
    """Return a port of the loopback interface that nobody listens on.

    Args:
        kept: the port to prefer, as text; empty if there is none.
    """
    for port in (*([int(kept)] if kept else []), *_PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EngineError("no port of 127.0.0.1 is free for the registry")


def firewall(environment: dict[str, str]) -> dict[str, str]:
    """Return what of the packet filter dockerd changes, as it is now.

    Args:
        environment: the variables with which iptables is found.
    """
    before = {"forward": _FORWARD.read_text(encoding="utf-8").strip()}
    for table in _TABLES:
        saved = process.run(("iptables-save", "-t", table), environment=environment).stdout
        before[table] = "docker" if ":DOCKER" in saved else ""
        for line in saved.splitlines():
            if line.startswith(":FORWARD "):
                before["policy"] = line.split()[1]
    return before


def restore_firewall(where: Folders, before: dict[str, str], environment: dict[str, str]) -> None:
    """Remove the rules that dockerd made for our bridge.

    Where no Docker was before, its chains go too, and forwarding is as it was. A Docker that came
    later would have rules for its own bridges: then everything but ours stays.

    Args:
        where: the engine's folders.
        before: what `firewall` returned.
        environment: the variables with which iptables is found.
    """
    others = False
    for table in _TABLES:
        for rule in _rules(table, environment):
            if where.bridge in rule:
                _filter(table, ("-D", *rule[1:]), environment)
        others |= any(_names_a_bridge(rule) for rule in _rules(table, environment))
    if others or any(before.get(table) for table in _TABLES):
        return
    for table in _TABLES:
        for rule in _rules(table, environment):
            if any(word.startswith("DOCKER") for word in rule):
                _filter(table, ("-D", *rule[1:]), environment)
        saved = process.run(("iptables-save", "-t", table), environment=environment).stdout
        chains = [line[1:].split()[0] for line in saved.splitlines() if line.startswith(":DOCKER")]
        for chain in chains:
            _filter(table, ("-F", chain), environment)
        for chain in chains:
            _filter(table, ("-X", chain), environment)
    if before.get("policy"):
        _filter("filter", ("-P", "FORWARD", before["policy"]), environment)
    if before.get("forward") == "0":
        _FORWARD.write_text("0", encoding="utf-8")


def _rules(table: str, environment: dict[str, str]) -> list[tuple[str, ...]]:
    saved = process.run(("iptables-save", "-t", table), environment=environment).stdout
    return [tuple(line.split()) for line in saved.splitlines() if line.startswith("-A ")]


def _names_a_bridge(rule: tuple[str, ...]) -> bool:
    return rule[1].startswith("DOCKER") and any(flag in rule for flag in ("-i", "-o"))


def _filter(table: str, words: tuple[str, ...], environment: dict[str, str]) -> None:
    process.run(("iptables", "-t", table, *words), environment=environment, check=False)


def _taken(own: str) -> list[Network]:
    """Return the networks that the machine has a route to, but for our own bridge's."""
    routes = json.loads(process.run(("ip", "-json", "-4", "route", "show")).stdout or "[]")
    found = []
    for route in routes:
        if route.get("dev") != own and route.get("dst", "default") != "default":
            found.append(Network(route["dst"], strict=False))
    return found


def _free(taken: list[Network]) -> Network:
    for candidate in _candidates():
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise EngineError("no private network is free for the engine's bridge")


def _candidates() -> Iterator[Network]:
    """Yield networks where few people have theirs."""
    for space in ("172.29.0.0/16", "10.213.0.0/16", "192.168.128.0/17"):
        yield from Network(space).subnets(new_prefix=24)
