"""Report the disk usage of caches, and what pruning frees: as data and as tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

from build_tasks.builders import store
from build_tasks.config.options import Options
from build_tasks.config.parsing import Choice
from build_tasks.engine import lifecycle
from build_tasks.errors import AuthError, ImagesError, UsageError
from build_tasks.model import matrix, own_image
from build_tasks.model.builder import DEFAULT
from build_tasks.model.matrix import ImageKind, Platform
from build_tasks.plan import build_host
from build_tasks.plan.build_host import BuildHost
from build_tasks.process import Announce
from build_tasks.storage import disk_usage, pruning, registry_caches
from build_tasks.storage.cache_records import TYPES, Record, total
from build_tasks.storage.disk_usage import NodeUsage
from build_tasks.text import formatting
from build_tasks.text.formatting import plural

#: The precision of sizes that are not exact.
ROUNDED = " (to four digits, as buildx prints it)"


@dataclass
class Report:
    """Disk usage, and what could not be found out.

    Args:
        data: everything, with bytes and times as data.
        tables: columns and rows for people.
        notes: lines below the tables.
        error: the first error of what did not answer.
    """

    data: dict[str, Any] = field(default_factory=dict)
    tables: list[tuple[Sequence[str], Sequence[Sequence[str]]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: ImagesError | None = None


def report_usage(options: Options, *, announce: Announce) -> Report:
    """Return the disk usage of builders and cache references.

    Raises:
        ImagesError: an option is wrong, or no engine can be used.
    """
    settings = options.settings()
    host = build_host.find(settings, start=False, announce=announce)
    references = _references(options, host)
    report = Report()
    if not options.flag("remote"):
        _add_builders(report, host)
    if not options.flag("local"):
        _add_references(report, host, references)
    return report


def prune(options: Options, *, announce: Announce) -> Report:
    """Prune the cache of a builder, or list what would be removed.

    Raises:
        ImagesError: an option is wrong, or the builder does not answer.
    """
    rule = pruning.parse_rule(options)
    settings = options.settings()
    host = build_host.find(settings, start=False, announce=announce)
    builder, dry = settings.builder, options.flag("dry-run")
    nodes = disk_usage.of_builder(host.client, builder)
    if dry:
        now = datetime.now(UTC)
        removed = {node.name: pruning.removable(node.records, rule, now) for node in nodes}
    else:
        removed = _by_node(nodes, pruning.prune(host.client, builder, rule))
    exact = all(node.exact for node in nodes)
    sums = _sums_by_type([record for records in removed.values() for record in records])
    report = Report(error=next((node.error for node in nodes if node.error), None))
    report.data = {
        "builder": builder,
        "dry_run": dry,
        "exact": exact,
        **sums,
        "nodes": [{"name": name, **_sums(records)} for name, records in removed.items()],
    }
    report.tables.append((("type", "records", "size"), _type_rows(sums)))
    verb = "would free" if dry else "freed"
    report.notes.append(
        f"builder {builder}: {verb} {formatting.size(sums['bytes'])} in "
        f"{plural(sums['records'], 'record')}{'' if exact else ROUNDED}"
    )
    if dry and rule.limits:
        names = ", ".join(f"--{name}" for name, _ in rule.limits)
        report.notes.append(f"{names}: not applied in a dry run: BuildKit chooses the records")
    # Images in a registry have neither a type nor a limit.
    if host.client.embedded and builder == DEFAULT and not (rule.type or rule.limits):
        older = rule.older.total_seconds() if rule.older else 0.0
        superseded = lifecycle.prune(announce=announce, older=older, dry=dry)
        result = "freed nothing: other processes use it; try again"
        if superseded is not None:
            count, freed = len(superseded.manifests), superseded.bytes
            report.data["registry"] = {"bytes": freed, "manifests": count}
            result = f"{verb} {formatting.size(freed)}, {plural(count, 'manifest')} without a tag"
        report.notes.append(f"registry {host.client.embedded.registry}: {result}")
    return report


def _add_builders(report: Report, host: BuildHost) -> None:
    """Add the disk usage of the named builder, or of all that the suite knows."""
    names = [host.settings.builder]
    if host.settings.origins["builder"] != "--builder":
        names = [*dict.fromkeys([DEFAULT, *store.suite_names(), *names])]
    nodes = [node for name in names for node in disk_usage.of_builder(host.client, name)]
    report.error = next((node.error for node in nodes if node.error), None)
    report.data["builders"] = usages = [_usage(node) for node in nodes]
    rows: list[Sequence[str]] = []
    for usage in usages:
        columns = (usage["builder"], usage["node"])
        total = ("all", str(usage["records"]), formatting.size(usage["bytes"]))
        rows += [(*columns, *row) for row in [*_type_rows(usage), total]]
        if not usage["error"]:
            report.notes.append(
                f"builder {usage['builder']}, node {usage['node']}: "
                f"{formatting.size(usage['reclaimable'])} can be freed, "
                f"{formatting.size(usage['shared'])} is shared with images"
                f"{'' if usage['exact'] else ROUNDED}"
            )
    report.tables.append((("builder", "node", "type", "records", "size"), rows))


def _usage(node: NodeUsage) -> dict[str, Any]:
    records = node.records
    return {
        "builder": node.builder,
        "driver": node.driver,
        "node": node.name,
        "exact": node.exact,
        "error": str(node.error) if node.error else None,
        "reclaimable": total(record for record in records if not record.in_use),
        "shared": total(record for record in records if record.shared),
        **_sums_by_type(records),
    }


def _add_references(report: Report, host: BuildHost, names: Sequence[str]) -> None:
    """Add the sizes of cache references."""
    references, denied = [], []
    for answer in registry_caches.read_all(host.client, names, host.settings.builder):
        if isinstance(answer, AuthError):
            denied.append(answer)  # some registries deny access to what does not exist
        elif isinstance(answer, ImagesError):
            report.error = report.error or answer
            break  # the other references of that registry would fail as well
        elif answer:
            references.append(answer)
    if denied:
        report.notes.append(f"cache references that were denied or do not exist: {len(denied)}")
        report.error = report.error or (None if references else denied[0])
    now = datetime.now(UTC)
    distinct = registry_caches.distinct_size(references)
    report.data["references"] = [
        {
            "reference": reference.name,
            "bytes": reference.size,
            "layers": len(reference.blobs),
            "newest": reference.newest.isoformat() if reference.newest else None,
        }
        for reference in references
    ]
    report.data["references_distinct_bytes"] = distinct
    rows = [
        (
            reference.name,
            formatting.size(reference.size),
            str(len(reference.blobs)),
            formatting.age(reference.newest, now),
        )
        for reference in references
    ]
    report.tables.append((("cache reference", "size", "layers", "newest step"), rows))
    report.notes.append(
        f"{plural(len(references), 'cache reference')}, {formatting.size(distinct)} with each "
        "layer counted once"
    )


def _references(options: Options, host: BuildHost) -> list[str]:
    """Return the cache references of the selected part of the matrix."""
    settings = host.settings
    kind = options.text("kind")
    known = settings.image_names
    images = (Choice("image", known)(kind, "--kind"),) if kind else known
    names = options.items("python") or settings.pythons
    pythons = [matrix.parse_python(name, "--python", settings.pythons) for name in names]
    if options.flag("local") and options.flag("remote"):
        raise UsageError("--local --remote: leave out both for both")
    return [
        host.names.cache(replace(build, slim=slim))
        for name, python in product(images, pythons)
        for slim in ((False, True) if name == ImageKind.PROD else (False,))
        for platform in settings.platforms or tuple(Platform)
        for build in (own_image.build(settings.images, name, python, platform),)
    ]


def _by_node(nodes: Sequence[NodeUsage], removed: Iterable[Record]) -> dict[str, list[Record]]:
    """Return removed records by node, with the sizes that the node reported before."""
    before = {record.id: (node.name, record) for node in nodes for record in node.records}
    result: dict[str, list[Record]] = {node.name: [] for node in nodes}
    for record in removed:
        node, known = before.get(record.id, (nodes[0].name, record))
        result[node].append(known if known.size else record)
    return result


def _sums(records: Collection[Record]) -> dict[str, int]:
    return {"bytes": total(records), "records": len(records)}


def _sums_by_type(records: Collection[Record]) -> dict[str, Any]:
    """Return the sums of records, and of each type that occurs."""
    by_type = {name: [record for record in records if record.type == name] for name in TYPES}
    types = {name: _sums(of_type) for name, of_type in by_type.items() if of_type}
    return {**_sums(records), "types": types}


def _type_rows(usage: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (name, str(sums["records"]), formatting.size(sums["bytes"]))
        for name, sums in usage["types"].items()
    ]
