"""Format sizes, times, lists and long texts for people, and read times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

#: Columns where there is no terminal: programs read whole lines.
UNLIMITED = 1000
_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def size(count: int) -> str:
    """Format a number of bytes in powers of 1000, as Docker does: `2.05 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - Docker's step
            return f"{value:.4g} {unit}"
        value /= 1000
    return f"{value:.4g} TB"


def age(then: datetime | None, now: datetime) -> str:
    """Format how long ago something happened: `3 h ago`."""
    if then is None:
        return "unknown"
    seconds = max((now - then).total_seconds(), 0)
    for step, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s")):
        if seconds >= step:
            return f"{seconds / step:.0f} {unit} ago"
    return "now"


def timestamp(text: str) -> float | None:
    """Return a time in ISO 8601 as seconds since 1970; None if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def duration(seconds: float) -> str:
    """Format a duration: `7.1 s`, `34 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 10:  # noqa: PLR2004 - below that, tenths matter
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    big, small, unit, rest = (_MINUTE, 1, "min", "s") if whole < _HOUR else (_HOUR, 60, "h", "min")
    remainder = whole % big // small
    return f"{whole // big} {unit}" + (f" {remainder} {rest}" if remainder else "")


def shorten(text: str, width: int) -> str:
    """Return a text as one line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: max(width - 1, 0)]}…"


def around_difference(before: str, now: str, width: int) -> tuple[str, str]:
    """Return two texts, each cut to about `width` characters around their first difference."""
    if max(len(before), len(now)) <= width:
        return before, now
    pairs = enumerate(zip(before, now, strict=False))
    shorter = min(len(before), len(now))
    start = max(next((at for at, (a, b) in pairs if a != b), shorter) - width // 3, 0)
    return _window(before, start, width), _window(now, start, width)


def _window(text: str, start: int, width: int) -> str:
    end = start + width
    return f"{'...' if start and text else ''}{text[start:end]}{'...' if len(text) > end else ''}"


def listed(values: Iterable[object]) -> str:
    """Join values with commas, as a list of choices."""
    return ", ".join(map(str, values))


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: `1 build`, `2 builds`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
