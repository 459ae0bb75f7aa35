"""Records: their keys are documented, and their steps make a graph."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import records

from build_tasks.history import journal
from build_tasks.history.record import BuildRecord, CacheUse, Step, StepKind
from build_tasks.report import terminal

RUN = records.run()


def test_the_documentation_names_every_key_and_bound() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "reports.md").read_text(encoding="utf-8")
    build, step = text.partition("| key of a step |")[::2]
    keys = {
        key for line in build.partition("| key of a build |")[2].splitlines() for key in _keys(line)
    }
    assert keys == {one.name for one in fields(BuildRecord)}
    keys = {key for line in step.splitlines() for key in _keys(line)}
    assert keys == {one.name for one in fields(Step)}
    assert f"| number of builds | {journal.KEEP_BUILDS}:" in text
    assert f"| size | {journal.KEEP_BYTES // 1024**2} MiB in all |" in text
    assert f"| age | {journal.KEEP_SECONDS / 86400:.0f} days |" in text
    one = next(one for one in RUN if one.identity == "prod-3.11-arm64")
    assert terminal.summary([one], 100) in text


def _keys(line: str) -> list[str]:
    return re.findall(r"`(\w+)`", line.split("|")[1]) if line.startswith("| `") else []


def test_what_is_below_a_step_is_all_that_it_depends_on() -> None:
    steps = (
        Step("a", inputs=("b", "c")),
        Step("b", inputs=("d",)),
        Step("c", inputs=("d",)),
        Step("d", inputs=("elsewhere",)),
    )
    record = BuildRecord("x", steps=steps)
    assert record.below(steps[0]) == {"b", "c", "d", "elsewhere"}
    assert record.below(steps[1], steps[2]) == {"d", "elsewhere"}
    assert record.below() == set()


def test_only_instructions_that_were_executed_ran() -> None:
    step = Step("d", "[2/3] RUN x", StepKind.STEP, started=True, number=2, total=3)
    base = replace(step, kind=StepKind.BASE)
    record = BuildRecord("x", steps=(step, base, replace(step, cached=True)))
    assert [each.ran for each in record.steps] == [True, False, False]
    assert record.dockerfile_steps == [step, replace(step, cached=True)]
    assert [replace(step, stage=stage).place for stage in ("main", "")] == ["main 2/3", "2/3"]


@pytest.mark.parametrize(
    ("error", "absent"),
    [
        ("", False),
        ("r/a:x: not found", True),
        ("blob sha256:0: not found", False),
        ("content at https://r/v2/a/manifests/x not found: not found", False),
        ("401 Unauthorized", False),
    ],
)
def test_a_cache_that_does_not_exist_yet_is_absent(error: str, absent: bool) -> None:
    assert CacheUse("r/a:x", error).absent is absent


def test_what_an_earlier_attempt_executed_was_executed() -> None:
    """The later attempt finds it in the cache, under other digests if it reads the context."""
    earlier = (
        Step("a1", "[1/3] COPY f /", StepKind.STEP, intervals=((0, 2),), started=True, log=("x",)),
        Step("b1", "[2/3] RUN x", StepKind.STEP, intervals=((2, 3),), started=True, error="lost"),
        Step("c1", "[3/3] RUN y", StepKind.STEP),
    )
    later = (
        Step("a2", "[1/3] COPY f /", StepKind.STEP, started=True, cached=True),
        Step("b2", "[2/3] RUN x", StepKind.STEP, started=True, cached=True, inputs=("a2",)),
        Step("c2", "[3/3] RUN y", StepKind.STEP, intervals=((1, 2.5),), started=True),
    )
    first, last = BuildRecord("x", steps=earlier), BuildRecord("x", steps=later)
    one, two, three = last.continuing(first, 10).steps
    assert one == replace(earlier[0], digest="a2")
    assert two == later[1]
    assert three == replace(later[2], intervals=((11, 12.5),))
    assert BuildRecord("x").continuing(first, 10).steps == earlier
