"""What `buildx inspect` prints, as data: buildx has no other form of it (to 0.36)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_RULE = re.compile(r"GC Policy rule#\d+")
_UNITS = {unit: 1024**power for power, unit in enumerate(("B", "KiB", "MiB", "GiB", "TiB", "PiB"))}
_SIZE = re.compile(r"([0-9.]+)\s?([KMGTP]?i?B)")
_SIZES = ("Reserved Space", "Max Used Space", "Min Free Space")


@dataclass
class Described:
    """One node, as buildx saw it.

    Args:
        name: its name.
        endpoint: where it is.
        status: `running`, `stopped`, `inactive` or `error`.
        error: why it cannot be used.
        version: BuildKit's version.
        platforms: what it can build for; a platform that somebody set has a `*`, and of the
            others the first is its machine's own.
        collection: the rules by which it removes cache, with sizes in bytes.
    """

    name: str
    endpoint: str = ""
    status: str = ""
    error: str = ""
    version: str = ""
    platforms: tuple[str, ...] = ()
    collection: list[dict[str, object]] = field(default_factory=list)


def nodes(text: str) -> list[Described]:
    """Return the nodes of a builder.

    Args:
        text: what `buildx inspect` prints.
    """
    found: list[Described] = []
    _, _, listing = text.partition("\nNodes:\n")
    for line in listing.splitlines():
        indented = line.startswith((" ", "\t"))
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "Name" and not indented:
            found.append(Described(value))
        elif found and indented:
            _add_to_rule(found[-1], key, value)
        elif found:
            _add(found[-1], key, value)
    return found


def error(text: str) -> str:
    """Return why buildx could not look at a builder's nodes, empty if it could."""
    head = text.partition("\nNodes:\n")[0]
    return next((line[6:].strip() for line in head.splitlines() if line.startswith("Error:")), "")


def size(text: str) -> int:
    """Return the bytes of a size as buildx prints it, like `9.313GiB` (four digits of it)."""
    found = _SIZE.fullmatch(text)
    return round(float(found[1]) * _UNITS[found[2]]) if found else 0


def _add(node: Described, key: str, value: str) -> None:
    if key == "Endpoint":
        node.endpoint = value
    elif key == "Status":
        node.status = value
    elif key == "Error":
        node.status, node.error = "error", value
    elif key in {"BuildKit version", "Buildkit"}:
        node.version = value
    elif key == "Platforms":
        node.platforms = tuple(item.strip() for item in value.split(",") if item.strip())
    elif _RULE.fullmatch(key):
        node.collection.append({"all": False, "filters": [], "keep-duration": ""})


def _add_to_rule(node: Described, key: str, value: str) -> None:
    if not node.collection:
        return
    rule = node.collection[-1]
    if key == "All":
        rule["all"] = value == "true"
    elif key == "Filters":
        rule["filters"] = value.split()
    elif key == "Keep Duration":
        rule["keep-duration"] = value
    elif key in _SIZES:
        rule[key.lower().replace(" ", "-")] = size(value)
