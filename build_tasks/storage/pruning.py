"""Prune the cache of a builder, or list what pruning would remove."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from build_tasks import process
from build_tasks.buildx import commands, management
from build_tasks.buildx.toolchain import Client
from build_tasks.config.options import Options
from build_tasks.config.parsing import disk_space
from build_tasks.errors import EngineError, UsageError
from build_tasks.storage import cache_records
from build_tasks.storage.cache_records import TYPES, Record
from build_tasks.text.formatting import listed

#: Seconds for an engine to remove its records.
PATIENCE = 3600.0
#: The first buildx with limits.
_LIMITS_SINCE = (0, 18)
LIMITS = ("max-used-space", "reserved-space", "min-free-space")
#: Types that only `--all` removes.
_INTERNAL = {"frontend", "internal"}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Rule:
    """What pruning may remove.

    Args:
        everything: also internal records, and those that images share.
        older: only records that were not used for this long.
        type: only records of this type; all if empty.
        limits: bytes by the name of the option.
    """

    everything: bool = False
    older: timedelta | None = None
    type: str = ""
    limits: tuple[tuple[str, int], ...] = ()

    @property
    def filters(self) -> list[str]:
        """The filters of buildx for age and type."""
        until = [f"until={self.older.total_seconds():.0f}s"] if self.older else []
        return until + ([f"type={self.type}"] if self.type else [])

    def allows(self, record: Record, now: datetime) -> bool:
        """Return whether a record may be removed, limits aside."""
        internal = record.shared or record.type in _INTERNAL
        if record.in_use or (internal and not self.everything):
            return False
        if self.older and record.used and record.used > now - self.older:
            return False
        return self.type in {"", record.type}


def parse_rule(options: Options) -> Rule:
    """Return the rule that the options mean.

    Raises:
        UsageError: an age, a type or a size is wrong.
    """
    kind = options.text("type") or ""
    if kind and kind not in TYPES:
        raise UsageError(f"--type: unknown type {kind!r}: choose {listed(TYPES)}")
    limits = tuple(
        (name, disk_space(text, f"--{name}")) for name in LIMITS if (text := options.text(name))
    )
    return Rule(options.flag("all"), _duration(options.text("older")), kind, limits)


def prune(client: Client, builder: str, rule: Rule) -> list[Record]:
    """Prune the cache of a builder and return the removed records, as buildx prints them.

    Raises:
        EngineError: this buildx has no limits.
        ImagesError: the builder does not exist or cannot be reached.
    """
    if rule.limits and client.version < _LIMITS_SINCE:
        version = ".".join(map(str, client.version))
        raise EngineError(
            f"--{rule.limits[0][0]}: needs buildx 0.18 and BuildKit 0.17 or newer, this is "
            f"buildx {version}"
        )
    command = commands.prune_command(
        client, builder, rule.filters, dict(rule.limits), everything=rule.everything
    )
    process.echo(command, client.environment)
    text = management.capture(client, command, f"builder {builder}", timeout=PATIENCE)
    return cache_records.parse_text(text, datetime.now(UTC))


def removable(records: Sequence[Record], rule: Rule, now: datetime) -> list[Record]:
    """Return the records of a node that a rule would remove without its limits.

    A record stays if another one that stays builds on it.
    """
    by_id = {record.id: record for record in records}
    kept = [record for record in records if not rule.allows(record, now)]
    for record in kept:  # grows meanwhile
        kept += [by_id.pop(name) for name in record.parents if name in by_id]
    kept_ids = {record.id for record in kept}
    return [record for record in records if record.id not in kept_ids]


def _duration(text: str | None) -> timedelta | None:
    if not text:
        return None
    if not _DURATION.fullmatch(text):
        raise UsageError(f"--older: expected a duration like 24h, 90m or 7d, got {text!r}")
    parts = re.findall(r"([\d.]+)([dhms])", text)
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
