"""What caches cost, and what pruning them frees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from build_tasks.builders import store
from build_tasks.config.options import Options
from build_tasks.config.settings import Settings
from build_tasks.errors import AuthError, ImagesError, UsageError
from build_tasks.model import matrix
from build_tasks.model.builder import DEFAULT
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.plan import build_host
from build_tasks.plan.build_host import BuildHost
from build_tasks.storage import cache_records, disk_usage, figures, pruning, registry_caches
from build_tasks.storage.cache_records import Record
from build_tasks.storage.disk_usage import Node
from build_tasks.storage.figures import Report
from build_tasks.text import formatting
from build_tasks.text.formatting import plural

if TYPE_CHECKING:
    from build_tasks.engine.registry import Superseded


def used(options: Options, *, announce: Callable[[str], None]) -> Report:
    """Return what builders and cache references keep.

    Args:
        options: what a person gave.
        announce: is told what finding the engine does.

    Raises:
        ImagesError: an option is wrong, or no engine can be used.
    """
    settings = options.settings()
    where = build_host.find(settings, start=False, announce=announce)
    wanted = _references(options, where)
    report = Report()
    if not options.flag("remote"):
        _local(report, where)
    if not options.flag("local"):
        _remote(report, where, wanted)
    return report


def pruned(options: Options, *, announce: Callable[[str], None]) -> Report:
    """Remove a builder's cache, or foretell what would go, and return the figures.

    Args:
        options: what a person gave.
        announce: is told what finding the engine does.

    Raises:
        ImagesError: an option is wrong, or the builder does not answer.
    """
    allowed = pruning.rule(options)
    settings = options.settings()
    where = build_host.find(settings, start=False, announce=announce)
    nodes = disk_usage.ask(where.client, settings.builder)
    dry = options.flag("dry-run")
    now = datetime.now(UTC)
    report = Report()
    report.failed = next((node.failure for node in nodes if node.failure), None)
    if dry:
        gone = {node.name: pruning.foretell(node.records, allowed, now) for node in nodes}
    else:
        gone = _known(nodes, pruning.prune(where.client, settings.builder, allowed))
    exact = all(node.exact for node in nodes)
    everything = [record for some in gone.values() for record in some]
    report.data = {
        "builder": settings.builder,
        "dry_run": dry,
        "exact": exact,
        "bytes": cache_records.total(everything),
        "records": len(everything),
        "types": figures.by_type(everything),
        "nodes": [
            {"name": name, "bytes": cache_records.total(some), "records": len(some)}
            for name, some in gone.items()
        ],
    }
    report.tables.append((("type", "records", "size"), figures.type_rows(everything)))
    verb = "would free" if dry else "freed"
    report.notes.append(
        f"builder {settings.builder}: {verb} {formatting.size(cache_records.total(everything))} in "
        f"{plural(len(everything), 'record')}{_precision(exact=exact)}"
    )
    if where.client.embedded and allowed.concerns_registry and settings.builder == DEFAULT:
        from build_tasks.engine import lifecycle  # noqa: PLC0415 - the embedded engine's

        older = allowed.older.total_seconds() if allowed.older else 0.0
        superseded = lifecycle.prune(announce=announce, older=older, dry=dry)
        _registry(report, where.client.embedded.registry, superseded, verb)
    return report


def _registry(report: Report, address: str, gone: Superseded | None, verb: str) -> None:
    """Add what went of the embedded engine's registry, or would go."""
    if gone is None:
        report.notes.append(f"registry {address}: freed nothing: other processes use it; try again")
        return
    report.data["registry"] = {"bytes": gone.bytes, "manifests": len(gone.manifests)}
    report.notes.append(
        f"registry {address}: {verb} {formatting.size(gone.bytes)}, "
        f"{len(gone.manifests)} manifests that no tag leads to"
    )


def _local(report: Report, host: BuildHost) -> None:
    nodes = [node for name in _builders(host) for node in disk_usage.ask(host.client, name)]
    report.data["builders"] = [
        {
            "builder": node.builder,
            "driver": node.driver,
            "node": node.name,
            "exact": node.exact,
            "error": str(node.failure) if node.failure else None,
            "bytes": node.total,
            "reclaimable": node.reclaimable,
            "shared": node.shared,
            "records": len(node.records),
            "types": figures.by_type(node.records),
        }
        for node in nodes
    ]
    rows: list[Sequence[str]] = []
    for node in nodes:
        about = (node.builder, node.name)
        rows += [(*about, *row) for row in figures.type_rows(node.records)]
        rows.append((*about, "all", str(len(node.records)), formatting.size(node.total)))
        if node.failure:
            report.failed = report.failed or node.failure
        else:
            report.notes.append(
                f"builder {node.builder}, node {node.name}: "
                f"{formatting.size(node.reclaimable)} can be freed, "
                f"{formatting.size(node.shared)} is shared with images"
                f"{_precision(exact=node.exact)}"
            )
    report.tables.append((("builder", "node", "type", "records", "size"), rows))


def _remote(report: Report, host: BuildHost, wanted: Iterable[str]) -> None:
    found, refused = [], []
    for answer in registry_caches.read_all(host.client, [*wanted], host.settings.builder):
        if isinstance(answer, AuthError):
            # Some registries refuse what is not there, so as not to say that it is not there.
            refused.append(answer)
        elif isinstance(answer, ImagesError):
            report.failed = report.failed or answer
            break  # what one reference meets, the others of that registry will meet, too
        elif answer:
            found.append(answer)
    if refused:
        report.notes.append(f"cache references that were refused, or are not there: {len(refused)}")
        report.failed = report.failed or (None if found else refused[0])
    now = datetime.now(UTC)
    report.data["references"] = [
        {
            "reference": one.name,
            "bytes": one.size,
            "layers": len(one.blobs),
            "newest": one.newest.isoformat() if one.newest else None,
        }
        for one in found
    ]
    report.data["references_distinct_bytes"] = registry_caches.distinct_size(found)
    rows: list[Sequence[str]] = [
        (one.name, formatting.size(one.size), str(len(one.blobs)), formatting.age(one.newest, now))
        for one in found
    ]
    report.tables.append((("cache reference", "size", "layers", "newest step"), rows))
    report.notes.append(
        f"{plural(len(found), 'cache reference')}, "
        f"{formatting.size(registry_caches.distinct_size(found))} with each layer counted once"
    )


def _builders(host: BuildHost) -> list[str]:
    """Return the builders to ask: the one that was named, or all that the suite knows of."""
    settings = host.settings.builder
    if host.settings.origins["builder"] == "--builder":
        return [settings]
    return list(dict.fromkeys([DEFAULT, *store.suite_names(), settings]))


def _references(options: Options, host: BuildHost) -> list[str]:
    settings = host.settings
    kinds = tuple(ImageKind)
    if text := options.text("kind"):
        kinds = (ImageKind.parse(text, "--kind"),)
    asked = options.items("python") or settings.pythons
    pythons = [matrix.parse_python(one, "--python", settings.pythons) for one in asked]
    if options.flag("local") and options.flag("remote"):
        raise UsageError("--local --remote: leave out both for both")
    return [host.names.cache(one) for one in _matrix(kinds, pythons, settings)]


def _matrix(kinds: Iterable[ImageKind], pythons: Iterable[str], settings: Settings) -> list[Build]:
    return [
        Build(kind, python, platform, slim=slim)
        for kind in kinds
        for python in pythons
        for slim in ((False, True) if kind is ImageKind.PROD else (False,))
        for platform in settings.platforms or tuple(Platform)
    ]


def _known(nodes: Sequence[Node], gone: Iterable[Record]) -> dict[str, list[Record]]:
    """Return what went by node, told as exactly as the node told it before."""
    before = {record.id: (node.name, record) for node in nodes for record in node.records}
    result: dict[str, list[Record]] = {node.name: [] for node in nodes}
    for record in gone:
        node, known = before.get(record.id, (nodes[0].name, record))
        result[node].append(known if known.size else record)
    return result


def _precision(*, exact: bool) -> str:
    return "" if exact else " (to four digits, as buildx says it)"
