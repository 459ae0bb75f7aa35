"""The three rules with which the engine's containers reach the network.

dockerd itself is told to leave the packet filter alone: at its start it would empty the chains of
another dockerd on the machine, whose containers would then reach nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from build_tasks import process

Rule = tuple[str, ...]

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def rules(bridge: str, network: str) -> tuple[Rule, ...]:
    """Return the rules, each as table, chain and what iptables is to match and do.

    Args:
        bridge: the engine's bridge.
        network: its addresses, like 172.29.0.0/24.
    """
    answers = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
    return (
        ("nat", "POSTROUTING", "-s", network, "!", "-o", bridge, "-j", "MASQUERADE"),
        ("filter", "FORWARD", "-i", bridge, "-j", "ACCEPT"),
        ("filter", "FORWARD", "-o", bridge, *answers, "-j", "ACCEPT"),
    )


def open_for(bridge: str, network: str, environment: Mapping[str, str]) -> str:
    """Let the bridge's containers out; return what forwarding was set to before.

    Args:
        bridge: the engine's bridge.
        network: its addresses.
        environment: the variables with which iptables is found.

    Raises:
        CommandError: the kernel refuses a rule.
    """
    before = _FORWARD.read_text(encoding="utf-8").strip()
    _FORWARD.write_text("1", encoding="utf-8")
    for table, chain, *rule in rules(bridge, network):
        known = ("iptables", "-t", table, "-C", chain, *rule)
        if process.run(known, environment=environment, check=False).returncode:
            # First of all, because the rules of others may end with a refusal.
            process.run(("iptables", "-t", table, "-I", chain, *rule), environment=environment)
    return before


def close_for(bridge: str, network: str, environment: Mapping[str, str]) -> None:
    """Remove the rules about the bridge.

    Args:
        bridge: the engine's bridge.
        network: its addresses.
        environment: the variables with which iptables is found.
    """
    for table, chain, *rule in rules(bridge, network):
        command = ("iptables", "-t", table, "-D", chain, *rule)
        process.run(command, environment=environment, check=False)


def forward(value: str) -> None:
    """Set forwarding back to what it was, unless something else of the machine needs it.

    Args:
        value: what `open_for` returned.
    """
    bridges = [path.parent.name for path in Path("/sys/class/net").glob("*/bridge")]
    if value == "0" and not bridges:
        _FORWARD.write_text(value, encoding="utf-8")
