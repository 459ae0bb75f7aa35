"""The engine's own bridge and port: a daemon never shares, nor deletes, another one's."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import socket
from pathlib import Path

from build_tasks import process
from build_tasks.engine import state
from build_tasks.engine.state import Folders
from build_tasks.errors import EngineError

Network = ipaddress.IPv4Network

#: The name of the bridge of a builder in a container.
_BUILDERS = re.compile(r"afb-[0-9a-f]{8}")

_NETWORKS = Path("/sys/class/net")
#: Tried first for the registry: 5000 is what people expect.
_PORTS = (5000, *range(5010, 5020), 0)
#: Where few people have networks of their own.
_SPACES = ("172.29.0.0/16", "10.213.0.0/16", "192.168.128.0/17")


def make_bridge(where: Folders) -> str:
    """Make the engine's bridge if it is not there, and return its network.

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
        kept = state.remember(where, "network", str(_free(taken, int(where.short[:2], 16))))
        # dockerd would give the bridge the addresses again that it remembers.
        shutil.rmtree(where.home / "data/network", ignore_errors=True)
    network = Network(kept)
    gateway = f"{next(network.hosts())}/{network.prefixlen}"
    process.run(("ip", "address", "replace", gateway, "dev", name))
    process.run(("ip", "link", "set", name, "up"))
    return kept


def bridges(where: Folders) -> list[str]:
    """Return the bridges that the engine has, and those of builders in its containers.

    Such a container may have the machine's network. It notes its bridge where it keeps its cache,
    in a volume (build_tasks/engine/buildkit_image.py).
    """
    notes = where.home.glob("data/volumes/*/_data/bridge")
    names = [note.read_text(encoding="utf-8", errors="replace").strip() for note in notes]
    found = [where.bridge, *(name for name in names if _BUILDERS.fullmatch(name))]
    return [name for name in found if (_NETWORKS / name).exists()]


def remove_bridge(name: str) -> bool:
    """Remove a bridge, and return whether it was there."""
    command = ("ip", "link", "delete", name, "type", "bridge")
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


def _taken(own: str) -> list[Network]:
    """Return the networks that the machine has a route to, but for our own bridge's."""
    routes = json.loads(process.run(("ip", "-json", "-4", "route", "show")).stdout or "[]")
    return [
        Network(route["dst"], strict=False)
        for route in routes
        if route.get("dev") != own and route.get("dst", "default") != "default"
    ]


def _free(taken: list[Network], first: int) -> Network:
    """Return a network that is free, beginning where other engines likely do not."""
    for space in _SPACES:
        networks = list(Network(space).subnets(new_prefix=24))
        start = first % len(networks)
        for candidate in networks[start:] + networks[:start]:
            if not any(candidate.overlaps(other) for other in taken):
                return candidate
    raise EngineError("no private network is free for the engine's bridge")
