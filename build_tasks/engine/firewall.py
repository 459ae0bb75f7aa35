"""The three rules with which the engine's containers reach the network.

dockerd itself is told to leave the packet filter alone: at its start it would empty the chains of
another dockerd on the machine, whose containers would then reach nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from build_tasks import process

Rule = tuple[str, ...]


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


def open_for(bridge: str, network: str, environment: Mapping[str, str]) -> None:
    """Let the bridge's containers out.

    Args:
        bridge: the engine's bridge.
        network: its addresses.
        environment: the variables with which iptables is found.

    Raises:
        CommandError: the kernel refuses a rule.
    """
    for table, chain, *rule in rules(bridge, network):
        known = ("iptables", "-t", table, "-C", chain, *rule)
        if process.run(known, environment=environment, check=False).returncode:
            # First of all, because the rules of others may end with a refusal.
            process.run(("iptables", "-t", table, "-I", chain, *rule), environment=environment)


def close_for(bridge: str, environment: Mapping[str, str]) -> None:
    """Remove the rules that name the bridge, whatever network it had when they were made.

    Args:
        bridge: the engine's bridge, or a builder's.
        environment: the variables with which iptables is found.
    """
    for table in ("nat", "filter"):
        listing = process.run(("iptables", "-t", table, "-S"), environment=environment, check=False)
        for line in listing.stdout.splitlines():
            action, *rule = shlex.split(line)
            if action == "-A" and bridge in rule:
                command = ("iptables", "-t", table, "-D", *rule)
                process.run(command, environment=environment, check=False)
