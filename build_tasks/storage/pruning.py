"""Remove what a builder keeps, or foretell what would go.

buildx has no dry run. What it would remove follows from the records and from BuildKit's rules
(cache/manager.go of BuildKit): a record goes when nothing stands on it, so that one that stays
keeps all that it stands on; with a ceiling, the least and longest ago used go first, one by one,
until the rest is below it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from build_tasks import process
from build_tasks.buildx import commands, verbs
from build_tasks.buildx.toolchain import Client
from build_tasks.config.options import Options
from build_tasks.errors import EngineError, UsageError
from build_tasks.storage import cache_records
from build_tasks.storage.cache_records import TYPES, Record
from build_tasks.text.formatting import listed

#: Seconds for an engine to remove what it keeps.
PATIENCE = 3600.0
#: The first buildx with ceilings.
_CEILINGS_SINCE = (0, 18)
CEILINGS = ("max-used-space", "reserved-space", "min-free-space")
#: What only `--all` removes.
_KEPT = {"frontend", "internal"}
_AGE = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Rule:
    """What may go.

    Args:
        everything: also what images share, and what BuildKit keeps for itself.
        older: only what was not used for this long.
        type: only records of this type; all if empty.
        ceilings: bytes by the name of the option, of those that were given.
    """

    everything: bool = False
    older: timedelta | None = None
    type: str = ""
    ceilings: tuple[tuple[str, int], ...] = ()

    @property
    def concerns_registry(self) -> bool:
        """Whether a registry's superseded images may go, too: they are no records of a type."""
        return not (self.type or self.ceilings)

    @property
    def filters(self) -> list[str]:
        """The same as filters of buildx."""
        until = [] if self.older is None else [f"until={self.older.total_seconds():.0f}s"]
        return [*until, *([f"type={self.type}"] if self.type else [])]

    @property
    def keep(self) -> int:
        """The bytes below which nothing goes, 0 if there is no such limit."""
        return max((limit for _, limit in self.ceilings), default=0)


def rule(options: Options) -> Rule:
    """Return what a person allows to go.

    Raises:
        UsageError: an age, a type or a size is wrong.
    """
    kind = options.text("type") or ""
    if kind and kind not in TYPES:
        raise UsageError(f"--type: unknown type {kind!r}: choose {listed(TYPES)}")
    ceilings = [(name, _size(options, name)) for name in CEILINGS if options.text(name)]
    if options.flag("dry-run") and options.text("min-free-space"):
        raise UsageError(
            "--dry-run: only the engine knows how much of its disk is free: leave out "
            "--min-free-space, or foretell with --max-used-space"
        )
    return Rule(options.flag("all"), _age(options.text("older")), kind, tuple(ceilings))


def prune(client: Client, builder: str, allowed: Rule) -> list[Record]:
    """Remove what may go, and return what went; sizes and ages are as buildx prints them.

    Raises:
        EngineError: this buildx knows no ceilings.
        ImagesError: the builder cannot be reached or does not exist.
    """
    if allowed.ceilings and client.version < _CEILINGS_SINCE:
        has, needs = (".".join(map(str, parts)) for parts in (client.version, _CEILINGS_SINCE))
        raise EngineError(
            f"--{allowed.ceilings[0][0]}: buildx {has} has no ceilings: it takes {needs} or newer, "
            "and BuildKit 0.17"
        )
    command = commands.prune_command(
        client, builder, allowed.filters, dict(allowed.ceilings), everything=allowed.everything
    )
    process.echo(command, client.environment)
    text = verbs.capture(client, command, f"builder {builder}", timeout=PATIENCE)
    return cache_records.of_text(text, datetime.now(UTC))


def foretell(kept: Sequence[Record], allowed: Rule, now: datetime) -> list[Record]:
    """Return which of a node's records would go.

    Args:
        kept: all of its records.
        allowed: what may go.
        now: the time to reckon ages from.
    """
    standing: dict[str, int] = defaultdict(int)
    for record in kept:
        for parent in record.parents:
            standing[parent] += 1
    left = {record.id: record for record in kept if _may_go(record, allowed, now)}
    size = cache_records.total(record for record in kept if not record.shared)
    gone: list[Record] = []
    while left and not (allowed.keep and size < allowed.keep):
        free = [record for record in left.values() if not standing[record.id]]
        for record in _ranked(free)[:1] if allowed.keep else free:
            del left[record.id]
            gone.append(record)
            size -= record.size
            for parent in record.parents:
                standing[parent] -= 1
        if not free:
            break
    return gone


def _may_go(record: Record, allowed: Rule, now: datetime) -> bool:
    if record.in_use or (not allowed.everything and (record.shared or record.type in _KEPT)):
        return False
    if allowed.older and record.used and record.used > now - allowed.older:
        return False
    return allowed.type in {"", record.type}


def _ranked(free: Sequence[Record]) -> list[Record]:
    """Return the records in the order in which BuildKit lets them go.

    Its measure is the sum of two ranks: how long ago a record was used, and how often.
    """
    times = sorted({record.used for record in free if record.used})
    counts = sorted({record.uses for record in free})
    by_time = {used: number for number, used in enumerate(times, 1)}
    by_count = {uses: number for number, uses in enumerate(counts, 1)}

    def rank(record: Record) -> float:
        recent = by_time[record.used] / len(times) if record.used else 0.0
        return recent + by_count[record.uses] / len(counts)

    return sorted(free, key=rank)


def _age(text: str | None) -> timedelta | None:
    if not text:
        return None
    if not _AGE.fullmatch(text):
        raise UsageError(f"--older: {text!r} is no duration, like 24h, 90m or 7d")
    parts = re.findall(r"([\d.]+)([dhms])", text)
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))


def _size(options: Options, name: str) -> int:
    text = options.text(name) or ""
    try:
        found = cache_records.size(text)
    except ValueError:
        found = 0
    if not found:
        raise UsageError(f"--{name}: {text!r} is no size, like 20GB or 500MB")
    return found
