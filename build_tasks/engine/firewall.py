"""What dockerd changes of the machine's packet filter, and how it is put back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from build_tasks import process

Rule = tuple[str, ...]

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True)
class Table:
    """One table of one of the two packet filters.

    Args:
        program: `iptables` or `ip6tables`.
        name: the table's name.
        environment: the variables with which the program is found.
    """

    program: str
    name: str
    environment: Mapping[str, str]

    def saved(self) -> list[str]:
        """Return the table as lines."""
        command = (f"{self.program}-save", "-t", self.name)
        return process.run(command, environment=self.environment).stdout.splitlines()

    def rules(self) -> list[Rule]:
        """Return the rules as the words that make them."""
        return [tuple(line.split()) for line in self.saved() if line.startswith("-A ")]

    def docker_chains(self) -> list[str]:
        """Return the names of the chains that dockerd makes."""
        return [line[1:].split()[0] for line in self.saved() if line.startswith(":DOCKER")]

    def policy(self) -> str:
        """Return what happens to forwarded packets that no rule is about."""
        return next((x.split()[1] for x in self.saved() if x.startswith(":FORWARD ")), "")

    def change(self, *words: str) -> None:
        """Change the table; what is gone already is no failure."""
        command = (self.program, "-t", self.name, *words)
        process.run(command, environment=self.environment, check=False)

    def delete(self, rules: list[Rule]) -> None:
        """Delete rules."""
        for rule in rules:
            self.change("-D", *rule[1:])


def remember(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what dockerd is going to change, as it is now.

    Args:
        environment: the variables with which the filters' programs are found.
    """
    before = {f"policy {t.program}": t.policy() for t in _tables(environment) if t.policy()}
    docker = any(table.docker_chains() for table in _tables(environment))
    forward = _FORWARD.read_text(encoding="utf-8").strip()
    return {**before, "docker": "yes" if docker else "", "forward": forward}


def restore(bridge: str, before: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Remove the rules that dockerd made for our bridge, and all of Docker's if all was ours.

    Where there was a Docker before, or one has come since and made rules for a bridge of its own,
    its chains stay as they are.

    Args:
        bridge: the engine's bridge.
        before: what `remember` returned.
        environment: the variables with which the filters' programs are found.
    """
    tables = _tables(environment)
    for table in tables:
        table.delete([rule for rule in table.rules() if bridge in rule])
    left = [rule for table in tables for rule in table.rules() if bridge not in rule]
    shared = any(_is_for_a_bridge(rule) for rule in left)
    if before.get("docker") == "" and not shared:
        _remove_docker(tables, before)


def _remove_docker(tables: list[Table], before: Mapping[str, str]) -> None:
    for table in tables:
        table.delete([r for r in table.rules() if any(w.startswith("DOCKER") for w in r)])
        for chain in table.docker_chains():
            table.change("-X", chain)
        policy = before.get(f"policy {table.program}")
        if policy and table.policy():
            table.change("-P", "FORWARD", policy)
    if before.get("forward") == "0":
        _FORWARD.write_text("0", encoding="utf-8")


def _is_for_a_bridge(rule: Rule) -> bool:
    return any(word.startswith("DOCKER") for word in rule) and bool({"-i", "-o"} & set(rule))


def _tables(environment: Mapping[str, str]) -> list[Table]:
    pairs = product(("iptables", "ip6tables"), ("filter", "nat"))
    return [Table(program, name, environment) for program, name in pairs]
