from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.config.options import Options
from build_tasks.errors import EngineError, UsageError
from build_tasks.process import Completed
from build_tasks.storage import pruning
from build_tasks.storage.cache_records import Record
from build_tasks.storage.pruning import Rule

CLIENT = Client("docker", ("docker-buildx",), {})
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def record(name: str, *parents: str, **changes: object) -> Record:
    said = {
        "id": name,
        "type": "regular",
        "size": 10,
        "shared": False,
        "in_use": False,
        "parents": parents,
        "used": NOW - timedelta(hours=1),
        **changes,
    }
    return Record(**said)  # type: ignore[arg-type]  # a test's own mapping


def gone(kept: list[Record], **allowed: object) -> list[str]:
    rule = Rule(**allowed)  # type: ignore[arg-type]  # a test's own mapping
    return [one.id for one in pruning.removable(kept, rule, NOW)]


def test_options_become_filters_and_limits() -> None:
    given: dict[str, str | bool | None] = {
        "all": True,
        "older": "31d12h",
        "type": "source.local",
        "max-used-space": "20GB",
        "reserved-space": "1GiB",
        "min-free-space": "5 MB",
    }
    rule = pruning.parse_rule(Options(given))
    assert rule.everything
    assert rule.filters == ["until=2721600s", "type=source.local"]
    assert dict(rule.limits) == {
        "max-used-space": 20_000_000_000,
        "reserved-space": 1_073_741_824,
        "min-free-space": 5_000_000,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"older": "yesterday"},
            "--older: expected a duration like 24h, 90m or 7d, got '",
        ),
        ({"type": "layers"}, "--type: unknown type 'layers': choose regular, source.local, "),
        (
            {"max-used-space": "lots"},
            "--max-used-space: expected a size like 20GB or 500MB, ",
        ),
        ({"reserved-space": "0"}, "--reserved-space: expected a size like 20GB or 500MB, got '0'"),
    ],
)
def test_a_wrong_rule_is_one_line(given: dict[str, str | bool | None], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        pruning.parse_rule(Options(given))
    assert str(caught.value).startswith(message)


def test_a_record_that_stays_keeps_its_parents() -> None:
    kept = [
        record("base"),
        record("left", "base"),
        record("right", "base", shared=True),
        record("leaf", "left"),
    ]
    assert gone(kept) == ["left", "leaf"]
    assert sorted(gone(kept, everything=True)) == ["base", "leaf", "left", "right"]


def test_records_in_use_and_internal_ones_stay() -> None:
    kept = [
        record("used", in_use=True),
        record("own", type="internal"),
        record("front", type="frontend"),
    ]
    assert gone(kept) == []
    assert gone(kept, everything=True) == ["own", "front"]


def test_age_and_type_select() -> None:
    kept = [
        record("new"),
        record("old", used=NOW - timedelta(days=2)),
        record("never", used=None),
        record("mount", type="exec.cachemount"),
    ]
    assert gone(kept, older=timedelta(days=1)) == ["old", "never"]
    assert gone(kept, type="exec.cachemount") == ["mount"]


def test_limits_do_not_count() -> None:
    """BuildKit alone decides which records it removes first."""
    assert gone([record("a"), record("b")], limits=(("max-used-space", 15),)) == ["a", "b"]


def client(version: tuple[int, ...]) -> Client:
    here = Client("docker", ("docker-buildx",), {})
    vars(here)["version"] = version  # a cached property's value
    return here


def test_a_buildx_without_limits_is_one_line() -> None:
    limit = Rule(limits=(("max-used-space", 1),))
    with pytest.raises(EngineError) as caught:
        pruning.prune(client((0, 13, 1)), "b", limit)
    assert str(caught.value) == (
        "--max-used-space: needs buildx 0.18 and BuildKit 0.17 or newer, this is buildx 0.13.1"
    )


def test_removed_records_are_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "ID:\ta\nSize:\t1kB\nTotal:\t1kB\n"
    monkeypatch.setattr(process, "run", lambda *_, **__: Completed(("x",), 0, said, ""))
    limit = Rule(limits=(("max-used-space", 1),))
    assert [one.size for one in pruning.prune(client((0, 29)), "b", limit)] == [1000]


def test_an_unknown_builder_has_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Completed(("x",), 1, "", 'ERROR: no builder "b" found')
    monkeypatch.setattr(process, "run", lambda *_, **__: ended)
    with pytest.raises(EngineError, match='builder b: no builder "b" found'):
        pruning.prune(CLIENT, "b", Rule())
