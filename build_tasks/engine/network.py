"""The engine's network: its bridge, its firewall rules, packet forwarding, a free port.

All of it is the engine's own, so that another Docker on the machine is not touched. dockerd itself
is told to leave the firewall alone: at its start it would empty the chains of another dockerd,
whose containers would then reach nothing. The engine's rules cover its range of addresses, from
which dockerd takes those of networks that users create. docker-proxy publishes ports.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import shlex
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from build_tasks import process
from build_tasks.engine import state
from build_tasks.engine.folders import RUN, Folders, machine_lock
from build_tasks.errors import EngineError, ImagesError

Network = ipaddress.IPv4Network

#: The bridge of a builder in a container (dockerfiles/buildkit/buildkitd.sh).
_BUILDER_BRIDGE = re.compile(r"afb-[0-9a-f]{8}")
_INTERFACES = Path("/sys/class/net")
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
#: Exists if forwarding was off before the first engine started.
_FORWARD_NOTE = RUN / "airflow-images.ip_forward"
#: The name that dockerd gives to the bridge of a network which a user created.
_USER_BRIDGE = re.compile(r"br-([0-9a-f]{12})")
#: dockerd's database of networks, below its data folder.
_NETWORKS = "data/network/files/local-kv.db"
#: Tried in this order for the registry: people expect 5000; 0 is any free port.
_PORTS = (5000, *range(5010, 5020), 0)
#: Address ranges in which few people have networks of their own.
_RANGES = ("172.29.0.0/16", "10.213.0.0/16", "192.168.128.0/17")
#: An engine's range holds 16 networks of the other size. Docker's own default ranges are not
#: smaller, so another Docker takes all of such a range or nothing.
_RANGE, NETWORK_SIZE = 20, 24


def create(folders: Folders, environment: Mapping[str, str]) -> None:
    """Create the engine's bridge and its firewall rules, and let the kernel forward packets."""
    addresses = create_bridge(folders)
    with machine_lock():
        if _FORWARD.read_text(encoding="utf-8").strip() != "1":
            _FORWARD_NOTE.touch()
            _FORWARD.write_text("1", encoding="utf-8")
    answers = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
    owner = ("-m", "comment", "--comment", folders.bridge)
    for table, chain, *rule in (
        ("nat", "POSTROUTING", "-s", addresses, "!", "-d", addresses, *owner, "-j", "MASQUERADE"),
        ("filter", "FORWARD", "-s", addresses, *owner, "-j", "ACCEPT"),
        ("filter", "FORWARD", "-d", addresses, *answers, *owner, "-j", "ACCEPT"),
    ):
        check = ("iptables", "-t", table, "-C", chain, *rule)
        if process.run(check, environment=environment, check=False).returncode:
            # The first of its chain, because the rules of others may end with a refusal.
            process.run(("iptables", "-t", table, "-I", chain, *rule), environment=environment)


def remove(folders: Folders, environment: Mapping[str, str]) -> list[str]:
    """Remove the engine's bridges and their rules; return the bridges' names."""
    removed = []
    for bridge in bridges(folders):
        with contextlib.suppress(ImagesError):
            _remove_rules(bridge, environment)
        command = ("ip", "link", "delete", bridge, "type", "bridge")
        if not process.run(command, check=False).returncode:
            removed.append(bridge)
    with machine_lock():
        left = [path.parent.name for path in _INTERFACES.glob("*/bridge")]
        if _FORWARD_NOTE.exists() and not any(name.startswith(("afi-", "afb-")) for name in left):
            if not left:  # no other program's bridge needs forwarding
                _FORWARD.write_text("0", encoding="utf-8")
            _FORWARD_NOTE.unlink()
    return removed


def create_bridge(folders: Folders) -> str:
    """Create the engine's bridge if it is not there, and return the engine's range of addresses.

    The bridge has the first network of the range.
    """
    name = folders.bridge
    if not (_INTERFACES / name).exists():
        completed = process.run(("ip", "link", "add", name, "type", "bridge"), check=False)
        if completed.returncode:
            raise EngineError(f"cannot create the bridge {name}: {completed.stderr.strip()}")
    routes = json.loads(process.run(("ip", "-json", "-4", "route", "show")).stdout or "[]")
    own = {name, *bridges(folders)}
    taken = [
        Network(route["dst"], strict=False)
        for route in routes
        if route.get("dev") not in own and route.get("dst", "default") != "default"
    ]
    saved = state.saved_setting(folders, "addresses")
    if not saved or any(Network(saved).overlaps(other) for other in taken):
        free = _free_range(taken, int(folders.unique_id[:2], 16))
        saved = state.save_setting(folders, "addresses", str(free))
        # dockerd would give the bridge its former addresses again.
        shutil.rmtree(folders.home / "data/network", ignore_errors=True)
    gateway = f"{next(Network(saved).hosts())}/{NETWORK_SIZE}"
    process.run(("ip", "address", "replace", gateway, "dev", name))
    process.run(("ip", "link", "set", name, "up"))
    return saved


def bridges(folders: Folders) -> list[str]:
    """Return those of the engine's bridges that exist.

    They are its own, those of networks that users created, which its database of networks has, and
    those of builders in containers that have the machine's network: a builder keeps the name of its
    bridge beside its cache, in a volume.
    """
    files = folders.home.glob("data/volumes/*/_data/bridge")
    names = [file.read_text(encoding="utf-8", errors="replace").strip() for file in files]
    names = [folders.bridge, *(name for name in names if _BUILDER_BRIDGE.fullmatch(name))]
    present = [name for name in names if (_INTERFACES / name).exists()]
    database = folders.home / _NETWORKS
    networks = database.read_bytes() if database.exists() else b""
    created = filter(None, (_USER_BRIDGE.fullmatch(path.name) for path in _INTERFACES.iterdir()))
    return present + sorted(made[0] for made in created if made[1].encode() in networks)


def free_port(preferred: str) -> int:
    """Return a port of the loopback interface on which nothing listens."""
    for port in (*([int(preferred)] if preferred else []), *_PORTS):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise EngineError("no port of 127.0.0.1 is free for the registry")


def _remove_rules(bridge: str, environment: Mapping[str, str]) -> None:
    """Remove the rules that name a bridge, whatever network it had when they were made."""
    for table in ("nat", "filter"):
        listing = process.run(("iptables", "-t", table, "-S"), environment=environment, check=False)
        for line in listing.stdout.splitlines():
            action, *rule = shlex.split(line)
            if action == "-A" and bridge in rule:
                command = ("iptables", "-t", table, "-D", *rule)
                process.run(command, environment=environment, check=False)


def _free_range(taken: list[Network], first: int) -> Network:
    """Return a free range of addresses, beginning where other engines likely do not."""
    for addresses in _RANGES:
        networks = list(Network(addresses).subnets(new_prefix=_RANGE))
        start = first % len(networks)
        for candidate in networks[start:] + networks[:start]:
            if not any(candidate.overlaps(other) for other in taken):
                return candidate
    raise EngineError("no private range of addresses is free for the engine's networks")
