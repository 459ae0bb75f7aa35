"""Images compared with what a build would make now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from unittest.mock import Mock

import pytest
import specs

from build_tasks.buildx.toolchain import Client
from build_tasks.check import image_metadata, up_to_date
from build_tasks.check.image_metadata import ImageIndex, PlatformImage
from build_tasks.config.options import Options
from build_tasks.errors import EngineError, ImagesError, NetworkError, UsageError
from build_tasks.history import recipe
from build_tasks.history.record import BuildRecord
from build_tasks.inputs import dockerfile, fingerprint
from build_tasks.inputs.fingerprint import LABEL
from build_tasks.model.build import BuildSpec
from build_tasks.plan import planner

CLIENT = Client("docker", ("docker-buildx",), {})
ARGUMENTS = {"BASE_IMAGE": "b:2", "A": "1"}
NOW = fingerprint.gather(
    dockerfile.parse("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG A\nRUN x $A\n"), ARGUMENTS, {}
)
BEFORE = replace(NOW, arguments={"A": "0"})
BASE = PlatformImage("sha256:b", layers=("1", "2"))
SPEC = specs.make(image="r/i", content=NOW, arguments=tuple(ARGUMENTS.items()), builder="builder")


def image(content: fingerprint.Inputs = NOW, *layers: str) -> PlatformImage:
    return PlatformImage("sha256:i", {LABEL: content.fingerprint}, layers or ("1", "2", "3"))


@pytest.mark.parametrize(
    ("found", "base", "parts"),
    [
        (image(), BASE, ()),
        (image(), "no answer", ()),
        (image(), None, ()),
        (image(BEFORE), BASE, ("arguments",)),
        (image(NOW, "1", "9"), BASE, ("base",)),
        (image(BEFORE, "9"), BASE, ("arguments", "base")),
        (PlatformImage("sha256:i", {}, ("1", "2")), BASE, ("inputs",)),
    ],
)
def test_the_parts_that_changed(
    found: PlatformImage, base: up_to_date.Answer, parts: tuple[str, ...]
) -> None:
    assert up_to_date.changed_parts(found, NOW, base) == parts


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Check the images of builds, of which the registry and the engine have some."""

    def run(
        *found: BuildSpec,
        registry: dict[str, PlatformImage | ImagesError],
        engine: PlatformImage | ImagesError | None = None,
        record: BuildRecord | None = None,
        **options: str | bool,
    ) -> list[str]:
        def of_registry(_: Client, reference: str, builder: str) -> ImageIndex:
            assert builder == "builder"
            answer = registry.get(reference)
            if isinstance(answer, ImagesError):
                raise answer
            return ImageIndex("sha256:i", {"linux/amd64": answer} if answer else {})

        monkeypatch.setattr(image_metadata, "of_registry", of_registry)
        of_engine = Mock(
            side_effect=engine if isinstance(engine, ImagesError) else None, return_value=engine
        )
        monkeypatch.setattr(image_metadata, "of_engine", of_engine)
        plan = Mock(return_value=(Mock(client=CLIENT), list(found or (SPEC,))))
        monkeypatch.setattr(planner, "plan_builds", plan)
        verdicts = up_to_date.check(
            Options(options), Mock(), find_record=lambda *_: record, announce=print
        )
        return [line for verdict in verdicts for line in verdict.lines]

    return run


def test_the_engine_and_the_registry_are_asked(check: Callable[..., list[str]]) -> None:
    assert check(registry={"b:2": BASE, "r/i:latest": image()}, engine=image(BEFORE)) == [
        "ci-3.11-amd64: current",
        "  the engine has an older one, since changed: arguments",
        "  the registry has it: r/i:latest",
    ]


@pytest.mark.parametrize(("flag", "place"), [("local", "engine"), ("remote", "registry")])
def test_one_place_can_be_left_out(check: Callable[..., list[str]], flag: str, place: str) -> None:
    lines = check(registry={"b:2": BASE}, **{flag: True}, tag="v2")
    assert lines[1:] == [
        f"  the {place} has no r/i:v2",
        "  airflow-images image.build --kind ci --python 3.11 --tag v2",
    ]


def test_a_place_that_does_not_answer_is_named(check: Callable[..., list[str]]) -> None:
    errors = {"b:2": NetworkError("no route"), "r/i:latest": NetworkError("timeout")}
    assert check(registry=errors, engine=EngineError("no engine")) == [
        "ci-3.11-amd64: not known",
        "  the engine did not answer: no engine",
        "  the registry did not answer: timeout",
        "  unknown whether the base image changed: no route",
        "  airflow-images image.build --kind ci --python 3.11",
    ]


def test_a_base_that_may_not_be_asked_for_is_a_reason(check: Callable[..., list[str]]) -> None:
    refused = specs.change(SPEC, refused=UsageError("not from here"))
    lines = check(refused, registry={"r/i:latest": image()}, remote=True)
    assert lines[-1] == "  unknown whether the base image changed: not from here"
    assert check(registry={"r/i:latest": image()}, remote=True)[-1] == (
        "  unknown whether the base image changed: the registry has no b:2"
    )


def test_a_record_of_the_build_names_the_change(check: Callable[..., list[str]]) -> None:
    record = recipe.noted(BuildRecord("ci-3.11-amd64"), BEFORE)
    lines = check(
        registry={"b:2": replace(BASE, layers=("7",)), "r/i:latest": image(BEFORE)},
        record=record,
        remote=True,
        platform="amd64",
    )
    assert lines[1:] == [
        "  the registry has an older one, since changed: arguments (A: '0' -> '1'), base (moved)",
        "  airflow-images image.build --kind ci --python 3.11 --platform linux/amd64",
    ]


def test_a_step_that_the_record_redacts_is_no_change(check: Callable[..., list[str]]) -> None:
    def inputs(argument: str) -> fingerprint.Inputs:
        text = "FROM b\nARG A\nRUN echo PASSWORD=hunter2hunter2 $A\n"
        return fingerprint.gather(dockerfile.parse(text), {"A": argument}, {})

    # The label of an image has another hash of the Dockerfile than now.
    before = replace(inputs("0"), effects="another")
    record = recipe.noted(BuildRecord("ci-3.11-amd64"), before)
    assert "hunter2" not in str(record)
    lines = check(
        specs.change(SPEC, content=inputs("1")),
        registry={"b:2": BASE, "r/i:latest": image(before)},
        record=record,
        remote=True,
    )
    assert lines[1] == ("  the registry has an older one, since changed: arguments (A: '0' -> '1')")


OWN = specs.make(
    name="dags",
    image="r/dags",
    content=NOW,
    arguments=(("AIRFLOW_IMAGE", "r/i:latest"),),
    base_argument="AIRFLOW_IMAGE",
    builder="builder",
    needs=SPEC.identity,
)


@pytest.mark.parametrize(
    ("below", "top", "line"),
    [
        (image(), image(NOW, "1", "2", "3", "4"), "has it: r/dags:latest"),
        (image(), image(NOW, "1", "2", "4"), "has an older one, since changed: base"),
        (image(BEFORE), image(NOW, "1", "2", "3", "4"), "has an older one, since changed: base"),
        (image(), image(BEFORE, "1", "2", "3", "4"), "has an older one, since changed: arguments"),
        (None, image(NOW, "1", "2", "4"), "has it: r/dags:latest"),
    ],
)
def test_an_own_image_is_compared_with_what_the_same_place_has_below(
    check: Callable[..., list[str]],
    below: PlatformImage | None,
    top: PlatformImage,
    line: str,
) -> None:
    registry = {"b:2": BASE, "r/dags:latest": top, **({"r/i:latest": below} if below else {})}
    lines = check(SPEC, OWN, registry=registry, remote=True)
    assert (
        f"  the registry {line}"
        in lines[
            lines.index(next(text for text in lines if text.startswith("dags-3.11-amd64: "))) :
        ]
    )


@pytest.mark.parametrize(
    ("below", "reason"),
    [({}, "the registry has no r/i:latest"), ({"r/i:latest": NetworkError("timeout")}, "timeout")],
)
def test_an_own_image_without_the_image_below_says_that_it_is_not_compared(
    check: Callable[..., list[str]], below: dict[str, object], reason: str
) -> None:
    registry = {"b:2": BASE, "r/dags:latest": image(NOW, "1", "2", "4"), **below}
    lines = check(SPEC, OWN, registry=registry, remote=True)
    assert lines[-1] == f"  unknown whether the base image changed: {reason}"


def test_a_record_of_an_own_image_names_what_changed_below(
    check: Callable[..., list[str]],
) -> None:
    record = recipe.noted(BuildRecord("dags-3.11-amd64"), NOW)
    registry = {"b:2": BASE, "r/i:latest": image(BEFORE), "r/dags:latest": image()}
    lines = check(SPEC, OWN, registry=registry, remote=True, record=record)
    assert "  the registry has an older one, since changed: base (ci-3.11-amd64 changed)" in lines
    assert lines[-1] == "  airflow-images image.build --kind dags --python 3.11"
