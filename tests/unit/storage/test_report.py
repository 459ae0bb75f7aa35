"""Reports of disk usage and of pruning; builders and registries are stood in for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import projects
import pytest

from build_tasks.buildx.toolchain import Client
from build_tasks.config.options import Options
from build_tasks.engine import lifecycle
from build_tasks.engine.registry import Superseded
from build_tasks.errors import AuthError, EngineError, ImagesError, NetworkError, UsageError
from build_tasks.plan import build_host
from build_tasks.storage import disk_usage, pruning, registry_caches, report
from build_tasks.storage.cache_records import Record
from build_tasks.storage.disk_usage import NodeUsage
from build_tasks.storage.registry_caches import Reference
from build_tasks.text.hints import FILE_VARIABLE

NOW = datetime.now(UTC)
RECORDS = (
    Record("a", "regular", 2_000, shared=False, in_use=False, used=NOW - timedelta(hours=3)),
    Record("b", "regular", 500, shared=True, in_use=False),
    Record("c", "exec.cachemount", 1_000, shared=False, in_use=True),
)
REGISTRY = "127.0.0.1:5000"


class Host:
    """The builder and the registry that a report is of."""

    def __init__(self) -> None:
        self.client: object = Client("docker", ("docker-buildx",), {})
        self.nodes: dict[str, list[NodeUsage]] = {
            "default": [NodeUsage("default", "docker", "default", RECORDS, exact=True)]
        }
        self.references: list[Reference | ImagesError | None] = []
        self.removed: list[Record] = []
        self.superseded: Superseded | None = None

    def find(self, settings: object, **_: object) -> object:
        names = build_host.names(settings)  # type: ignore[arg-type]  # from options
        return SimpleNamespace(client=self.client, settings=settings, names=names)

    def read_all(
        self, _: object, names: list[str], __: str
    ) -> Iterator[Reference | ImagesError | None]:
        self.names = names
        yield from self.references


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(build_host, "find", made.find)
    monkeypatch.setattr(disk_usage, "of_builder", lambda _, name: made.nodes[name])
    monkeypatch.setattr(registry_caches, "read_all", made.read_all)
    monkeypatch.setattr(pruning, "prune", lambda *_: made.removed)
    monkeypatch.setattr(lifecycle, "prune", lambda **_: made.superseded)
    return made


def usage(**options: str | bool) -> report.Report:
    return report.report_usage(Options(options), announce=print)


def prune(**options: str | bool) -> report.Report:
    return report.prune(Options(options), announce=print)


def test_the_records_of_a_builder_are_summed_up_by_type(host: Host) -> None:
    result = usage(local=True)
    (node,) = result.data["builders"]
    assert (node["bytes"], node["records"]) == (3_500, 3)
    assert (node["reclaimable"], node["shared"]) == (2_500, 500)
    assert node["types"] == {
        "regular": {"bytes": 2_500, "records": 2},
        "exec.cachemount": {"bytes": 1_000, "records": 1},
    }
    assert result.tables == [
        (
            ("builder", "node", "type", "records", "size"),
            [
                ("default", "default", "regular", "2", "2.5 kB"),
                ("default", "default", "exec.cachemount", "1", "1 kB"),
                ("default", "default", "all", "3", "3.5 kB"),
            ],
        )
    ]
    assert result.notes == [
        "builder default, node default: 2.5 kB can be freed, 500 B is shared with images"
    ]
    assert host.removed == []


def test_a_node_that_does_not_answer_is_the_error_of_a_whole_report(host: Host) -> None:
    error = NetworkError("n2: nothing came")
    first = NodeUsage("mine", "remote", "n1", RECORDS[:1])
    host.nodes["mine"] = [first, NodeUsage("mine", "remote", "n2", error=error)]
    result = usage(local=True, builder="mine")
    assert result.error is error
    assert [node["error"] for node in result.data["builders"]] == [None, str(error)]
    (note,) = result.notes
    assert note.endswith("is shared with images (to four digits, as buildx prints it)")


def test_references_are_listed_with_each_layer_counted_once(host: Host) -> None:
    hours = Reference("r/a:cache", {"x": 100, "y": 50}, NOW - timedelta(hours=2, minutes=1))
    host.references = [hours, None, Reference("r/b:cache", {"x": 100})]
    result = usage(remote=True, python="3.11", kind="ci", platform="amd64")
    assert len(host.names) == 1
    assert result.data["references_distinct_bytes"] == 150
    assert [item["bytes"] for item in result.data["references"]] == [150, 100]
    ((_, rows),) = result.tables
    assert rows == [
        ("r/a:cache", "150 B", "2", "2 h ago"),
        ("r/b:cache", "100 B", "1", "unknown"),
    ]
    assert result.notes == ["2 cache references, 150 B with each layer counted once"]
    assert result.error is None


def test_own_images_have_references(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FILE_VARIABLE, str(projects.with_own_images(tmp_path)))
    usage(remote=True, python="3.11", platform="amd64")
    assert [name.rpartition("/main/")[2] for name in host.names] == [
        "ci/python3.11:cache-linux-amd64",
        "prod/python3.11:cache-linux-amd64",
        "prod/python3.11:cache-linux-amd64-slim",
        *(f"{own}/python3.11:cache-linux-amd64" for own in ("site", "dags", "tests")),
    ]
    with pytest.raises(UsageError, match=r"^--kind: unknown image 'dag': did you mean dags"):
        usage(remote=True, kind="dag")


def test_a_registry_that_does_not_answer_is_not_asked_again(host: Host) -> None:
    error = NetworkError("r/a: timed out")
    host.references = [error, Reference("r/b:cache", {"x": 100})]
    result = usage(remote=True)
    assert (result.error, result.data["references"]) == (error, [])


def test_what_is_denied_may_not_exist(host: Host) -> None:
    denied = AuthError("r/a: denied")
    host.references = [denied, Reference("r/b:cache", {"x": 100})]
    result = usage(remote=True)
    assert result.error is None
    assert result.notes[0] == "cache references that were denied or do not exist: 1"
    host.references = [denied]
    assert usage(remote=True).error is denied


def test_references_are_those_of_the_selected_matrix(host: Host) -> None:
    usage(remote=True, python="3.11", platform="amd64")
    assert len(host.names) == 3  # ci, prod and slim prod
    with pytest.raises(UsageError, match=r"^--local --remote: leave out both for both$"):
        usage(local=True, remote=True)
    with pytest.raises(UsageError, match=r"^--kind: "):
        usage(kind="x")


def test_what_was_freed_has_the_exact_sizes_of_before(host: Host) -> None:
    rounded = Record("a", "regular", 2_001, shared=False, in_use=False)
    unknown = Record("z", "regular", 5, shared=False, in_use=False)
    host.removed = [rounded, unknown]
    result = prune()
    assert result.data == {
        "builder": "default",
        "dry_run": False,
        "exact": True,
        "bytes": 2_005,
        "records": 2,
        "types": {"regular": {"bytes": 2_005, "records": 2}},
        "nodes": [{"name": "default", "bytes": 2_005, "records": 2}],
    }
    assert result.notes == ["builder default: freed 2.005 kB in 2 records"]


def test_a_dry_run_says_what_it_cannot_know(host: Host) -> None:
    options: dict[str, str | bool] = {"dry-run": True, "max-used-space": "1GB", "type": "regular"}
    result = prune(**options)
    assert (result.data["bytes"], result.data["dry_run"]) == (2_000, True)
    assert result.notes == [
        "builder default: would free 2 kB in 1 record",
        "--max-used-space: not applied in a dry run: BuildKit chooses the records",
    ]
    assert host.removed == []


def test_the_registry_of_the_embedded_engine_is_pruned_too(host: Host) -> None:
    host.client = SimpleNamespace(embedded=SimpleNamespace(registry=REGISTRY))
    busy = f"registry {REGISTRY}: freed nothing: other processes use it; try again"
    assert prune().notes[-1] == busy
    host.superseded = Superseded((("r/a", "m1"),), 700)
    result = prune(**{"dry-run": True})
    assert result.data["registry"] == {"bytes": 700, "manifests": 1}
    assert result.notes[-1] == f"registry {REGISTRY}: would free 700 B, 1 manifest without a tag"
    assert "registry" not in prune(type="regular").data


def test_a_node_that_cannot_be_pruned_is_the_error(host: Host) -> None:
    error = EngineError("no such builder")
    host.nodes["default"] = [NodeUsage("default", "docker", "default", error=error)]
    assert prune(**{"dry-run": True}).error is error
