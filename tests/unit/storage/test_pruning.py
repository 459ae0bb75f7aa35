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
        "uses": 1,
        **changes,
    }
    return Record(**said)  # type: ignore[arg-type]  # a test's own mapping


def gone(kept: list[Record], **allowed: object) -> list[str]:
    rule = Rule(**allowed)  # type: ignore[arg-type]  # a test's own mapping
    return [one.id for one in pruning.foretell(kept, rule, NOW)]


def test_options_become_filters_and_limits() -> None:
    given: dict[str, str | bool | None] = {
        "all": True,
        "older": "31d12h",
        "type": "source.local",
        "max-used-space": "20GB",
        "reserved-space": "1GiB",
        "min-free-space": "5 MB",
    }
    rule = pruning.rule(Options(given))
    assert rule.everything
    assert rule.filters == ["until=2721600s", "type=source.local"]
    assert dict(rule.ceilings) == {
        "max-used-space": 20_000_000_000,
        "reserved-space": 1_073_741_824,
        "min-free-space": 5_000_000,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"older": "yesterday"}, "--older: 'yesterday' is no duration, like 24h, 90m or 7d"),
        ({"type": "layers"}, "--type: unknown type 'layers': choose regular, source.local, "),
        ({"max-used-space": "lots"}, "--max-used-space: 'lots' is no size, like 20GB or 500MB"),
        ({"reserved-space": "0"}, "--reserved-space: '0' is no size, like 20GB or 500MB"),
        ({"min-free-space": "1GB", "dry-run": True}, "--dry-run: only the engine knows how much"),
    ],
)
def test_a_wrong_rule_is_one_line(given: dict[str, str | bool | None], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        pruning.rule(Options(given))
    assert str(caught.value).startswith(message)


def test_what_stays_keeps_what_it_stands_on() -> None:
    kept = [
        record("base"),
        record("left", "base"),
        record("right", "base", shared=True),
        record("leaf", "left"),
    ]
    assert gone(kept) == ["leaf", "left"]
    assert sorted(gone(kept, everything=True)) == ["base", "leaf", "left", "right"]


def test_what_is_in_use_or_BuildKits_own_stays() -> None:  # noqa: N802 - its name
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


def test_a_ceiling_takes_the_least_and_longest_ago_used_first() -> None:
    hours = [record(f"h{n}", used=NOW - timedelta(hours=n), uses=n) for n in (1, 2, 3)]
    kept = [*hours, record("never", used=None, uses=0), record("image", shared=True, size=1000)]
    assert gone(kept, ceilings=(("max-used-space", 35),)) == ["never"]
    kept = [record("often", uses=9), record("seldom", uses=1), record("leaf", "seldom", uses=5)]
    assert gone(kept, ceilings=(("max-used-space", 25),)) == ["leaf"]
    assert gone(kept, ceilings=(("max-used-space", 1000),)) == []
    both = (("max-used-space", 1), ("reserved-space", 25))
    assert len(gone(kept, ceilings=both)) == 1
    assert sorted(gone(kept, ceilings=(("max-used-space", 1),))) == ["leaf", "often", "seldom"]


def client(version: tuple[int, ...]) -> Client:
    here = Client("docker", ("docker-buildx",), {})
    vars(here)["version"] = version  # a cached property's value
    return here


def test_a_buildx_without_ceilings_is_one_line() -> None:
    ceiling = Rule(ceilings=(("max-used-space", 1),))
    with pytest.raises(EngineError) as caught:
        pruning.prune(client((0, 13, 1)), "b", ceiling)
    assert str(caught.value) == (
        "--max-used-space: buildx 0.13.1 has no ceilings: it takes 0.18 or newer, and BuildKit 0.17"
    )


def test_what_went_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "ID:\ta\nSize:\t1kB\nTotal:\t1kB\n"
    monkeypatch.setattr(process, "run", lambda *_, **__: Completed(("x",), 0, said, ""))
    ceiling = Rule(ceilings=(("max-used-space", 1),))
    assert [one.size for one in pruning.prune(client((0, 29)), "b", ceiling)] == [1000]


def test_a_builder_that_does_not_answer_has_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Completed(("x",), 1, "", 'ERROR: no builder "b" found')
    monkeypatch.setattr(process, "run", lambda *_, **__: ended)
    with pytest.raises(EngineError, match='builder b: no builder "b" found'):
        pruning.prune(CLIENT, "b", Rule())
