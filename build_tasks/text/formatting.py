"""Sizes and times in the units that people read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def size(count: int) -> str:
    """Return bytes as people read them, in powers of 1000 as Docker counts."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - Docker's step
            return f"{value:.4g} {unit}"
        value /= 1000
    return f"{value:.4g} TB"


def age(then: datetime | None, now: datetime) -> str:
    """Return how long ago something was, as people read it."""
    if then is None:
        return "unknown"
    seconds = max((now - then).total_seconds(), 0)
    for step, unit in _UNITS:
        if seconds >= step:
            return f"{seconds / step:.0f} {unit} ago"
    return "now"


def precision(*, exact: bool) -> str:
    """Return what to add to a figure that is not exact."""
    return "" if exact else " (to four digits, as buildx says it)"


def listed(values: Iterable[str]) -> str:
    """Return the values as a person writes a list of choices."""
    return ", ".join(str(value) for value in values)


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, like `1 build` and `2 builds`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
