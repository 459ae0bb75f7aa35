"""The inputs of a build in its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from comparisons import BEFORE, TEXT, causes, changed, record

from build_tasks.history import recipe
from build_tasks.history.explain import explain
from build_tasks.history.explain.causes import Cause, Why
from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.inputs import dockerfile, fingerprint


def test_without_a_from_step_the_base_is_that_of_the_record() -> None:
    def bare(digest: str) -> BuildRecord:
        made = record({"build 2"}, base=("python:3.11", digest))  # type: ignore[arg-type]  # the record's own
        steps = tuple(step for step in made.steps if step.kind is not StepKind.BASE)
        return replace(made, steps=steps, base=("python:3.11", digest))

    ((_, found),) = causes(bare("sha256:2"), bare("sha256:1"))
    assert found == (Cause(Why.BASE, "python:3.11", "sha256:1", "sha256:2"),)


def test_a_step_that_another_image_named_has_its_own_place() -> None:
    """Of a step that two builds share, BuildKit says the name that the first of them gave it."""
    now = record({"main 2", "main 3", "main 4"}, text=TEXT.replace("third", "3rd"))
    steps = tuple(
        replace(step, name="[build 7/12] RUN 3rd", stage="build", number=7)
        if step.name.endswith("RUN 3rd")
        else step
        for step in now.steps
    )
    found = explain(BEFORE, replace(now, steps=steps))
    assert [(miss.line, miss.causes) for miss in found.misses] == [
        (12, (changed(12, "RUN third", "RUN 3rd"),))
    ]


def test_the_inputs_of_a_build_are_kept_without_secrets() -> None:
    text = 'FROM x\nARG URL\nRUN curl -H "Authorization: Bearer abcdef" $URL\nCOPY a /a\n'
    arguments = {"URL": "https://u:hidden@host/", "BASE_IMAGE": "b:2"}
    now = fingerprint.gather(dockerfile.parse(text), arguments, {"a": "100644 1", "b": "100644 2"})
    kept = recipe.noted(BuildRecord("x", base=("", "sha256:1")), now)
    assert (kept.base, kept.files) == (("b:2", "sha256:1"), {"a": "100644 1"})
    assert kept.fingerprint == now.fingerprint
    assert "hidden" not in str(kept)
    assert "abcdef" not in str(kept)
    again = recipe.recorded(kept)
    assert (again.base, again.files, len(again.instructions)) == ("b:2", kept.files, 4)


def test_what_chose_a_stage_is_kept_so_that_its_files_are_read() -> None:
    text = "ARG WHO=a\nFROM x AS a\nFROM x AS b\nCOPY f /f\nFROM ${WHO} AS image\n"
    now = fingerprint.gather(dockerfile.parse(text), {"WHO": "b"}, {"f": "100644 1"})
    kept = recipe.recorded(recipe.noted(BuildRecord("x"), now))
    assert (kept.files, kept.arguments) == ({"f": "100644 1"}, {"WHO": "b"})


@pytest.mark.parametrize(
    ("found", "known", "unknown"),
    [
        ("docker.io/library/p:3", ("p:3", "library/p:3", "docker.io/p:3"), ("ap:3", "p:4", "p")),
        ("docker.io/library/p:latest", ("p", "p:latest", "docker.io/library/p"), ("q", "p:3", "")),
        ("docker.io/org/p:3", ("org/p:3", "docker.io/org/p:3"), ("p:3", "library/p:3")),
        ("localhost/p:3", ("localhost/p:3",), ("p:3",)),
        ("r:5000/p:latest", ("r:5000/p",), ("p", "r/p", "r:5000/a/p")),
    ],
)
def test_the_digest_of_a_base_image_is_known_by_each_of_its_references(
    found: str, known: Sequence[str], unknown: Sequence[str]
) -> None:
    step = Step("d", f"[main 1/2] FROM {found}@sha256:0a", StepKind.BASE)
    made = recipe.recipe(BuildRecord("x", steps=(step,)))
    assert {made.digest(name) for name in known} == {"sha256:0a"}
    assert {made.digest(name) for name in unknown} == {""}


def test_an_instruction_of_another_form_is_left_out() -> None:
    record = BuildRecord(
        "x", instructions=("main 1 FROM b", "main :", "main x RUN y", "", "main 3 ")
    )
    assert [one.text for one in recipe.recorded(record).instructions] == ["FROM b"]


def test_a_base_that_a_context_replaces_has_no_number() -> None:
    """The vertices are those of BuildKit 0.25 for an OCI layout in the place of a base image."""
    text = "ARG AIRFLOW_IMAGE\nFROM ${AIRFLOW_IMAGE}\nARG A\nRUN echo $A\n"

    def build(argument: str, digest: str) -> BuildRecord:
        inputs = fingerprint.gather(
            dockerfile.parse(text),
            {"AIRFLOW_IMAGE": "r:5/p:latest", "A": argument},
            {},
            "AIRFLOW_IMAGE",
            "p 2",
        )
        names = {
            "m": f"[context r:5/p] load metadata for r:5/p@sha256:{digest}",
            "s": f"[1/2] RUN echo {argument}",
        }
        steps = (
            Step("m", names["m"], StepKind.INTERNAL),
            Step(f"s{argument}{digest}", names["s"], StepKind.STEP, number=1, started=True),
        )
        return recipe.noted(BuildRecord("x", steps=steps), inputs)

    assert recipe.recipe(build("1", "a")).digest("r:5/p:latest") == "sha256:a"
    ((_, found),) = causes(build("2", "a"), build("1", "a"))
    assert found == (Cause(Why.ARGUMENT, "A", "1", "2"),)
    ((_, found),) = causes(build("1", "b"), build("1", "a"))
    assert found == (Cause(Why.BASE, "r:5/p:latest", "sha256:a", "sha256:b"),)


@pytest.mark.parametrize("name", ["BASE_IMAGE", "AIRFLOW_IMAGE", ""])
def test_a_record_tells_which_argument_has_the_base(name: str) -> None:
    text = "ARG BASE_IMAGE\nARG AIRFLOW_IMAGE\nFROM ${BASE_IMAGE} AS a\nFROM ${AIRFLOW_IMAGE}\n"
    text += "COPY --from=a /x /\n"
    arguments = {"BASE_IMAGE": "debian:12", "AIRFLOW_IMAGE": "r/p:latest"}
    inputs = fingerprint.gather(dockerfile.parse(text), arguments, {}, name)
    kept = recipe.recorded(recipe.noted(BuildRecord("x"), inputs))
    assert (kept.base_argument, kept.base, kept.arguments) == (
        name,
        inputs.base,
        inputs.arguments,
    )


@pytest.mark.parametrize("first", ["FROM b", "FROM b AS last"])
def test_the_only_stage_has_no_name_in_steps(first: str) -> None:
    """BuildKit 0.25 says `[2/2] RUN x` even if the only stage has a name."""
    steps = (Step("s", "[2/2] RUN x", StepKind.STEP, number=2, started=True),)
    inputs = fingerprint.gather(dockerfile.parse(f"{first}\nRUN x\n"), {}, {})
    found = recipe.recipe(recipe.noted(BuildRecord("x", steps=steps), inputs)).by_digest
    assert found["s"].instruction.text == "RUN x"
