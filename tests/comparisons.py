"""Records of builds that differ in one thing each, as BuildKit reports them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from build_tasks.history.explain import explain
from build_tasks.history.explain.causes import Cause, Why
from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import inputs

TEXT = """\
ARG BASE=python:3.11
FROM scratch AS files
COPY c/1.txt /c.txt
FROM ${BASE} AS build
ARG A=1
RUN first
ENV E=1
RUN --mount=from=files,target=/f <<EOF
second
EOF
FROM ${BASE} AS main
RUN third
COPY d /d
COPY --link --from=build /x /x
"""
FILES = {"c/1.txt": "100644 aa", "d/one": "100644 bb", "d/two": "100644 cc", "e": "100644 dd"}
ALL = ("files 1", "build 2", "build 3", "main 2", "main 3", "main 4")


def record(  # noqa: PLR0913 - all that makes a build
    ran: Collection[str] = (),
    *,
    text: str = TEXT,
    arguments: Mapping[str, str] | None = None,
    files: Mapping[str, str] = FILES,
    base: str = "a",
    salt: str = "",
    **changes: Any,
) -> BuildRecord:
    """Return the record of a build in which some steps ran.

    A step's digest is that of its name and of all above it, as BuildKit's are.
    """
    instructions = dockerfile.parse(text)
    uses = inputs.uses(instructions, arguments or {})
    steps = [Step(f"context{salt}", "[internal] load build context", StepKind.CONTEXT)]
    last: dict[str, str] = {}
    for use in uses:
        stage, number = use.stage.name, use.number
        if stage not in last and use.stage.base and not use.stage.parent:
            name = f"[{stage} 1/9] FROM docker.io/library/{use.stage.base}@sha256:{base}"
            steps.append(Step(f"from {name}", name, StepKind.BASE, stage, started=True))
            last[stage] = f"from {name}"
        above = [last[one] for one in (stage, *use.stages) if one in last]
        above += ["context" + salt] if use.files else []
        name = f"[{stage} {number}/9] {use.instruction.head}"
        digest = f"{name} {sorted(use.variables.items())} {above}"
        place = f"{stage} {number}"
        steps.append(
            Step(
                digest,
                name,
                StepKind.STEP,
                stage,
                number=number,
                total=9,
                inputs=tuple(above),
                started=True,
                cached=place not in ran,
            )
        )
        last[stage] = digest
    given = {
        "identity": "ci-3.11-amd64",
        "began": "2026-01-01T00:00:00",
        "arguments": arguments or {},
        "files": files,
        "instructions": tuple(map(str, instructions)),
        "steps": tuple(steps),
        "builder": "default",
        **changes,
    }
    return BuildRecord(**given)


BEFORE = record(ALL)


def changed(line: int, before: str, now: str) -> Cause:
    return Cause(Why.INSTRUCTION, f"line {line}", before, now)


def causes(now: BuildRecord, before: BuildRecord = BEFORE) -> list[tuple[str, tuple[Cause, ...]]]:
    return [(miss.step, miss.causes) for miss in explain(before, now).misses]
