"""The fingerprint of an image's inputs: what changes it, what does not, and what it can name."""

from __future__ import annotations

import pytest

from build_tasks.history import recipe
from build_tasks.history.record import BuildRecord
from build_tasks.inputs import dockerfile, fingerprint
from build_tasks.inputs.fingerprint import Inputs

TEXT = """\
ARG BASE_IMAGE=b:1
FROM ${BASE_IMAGE} AS main
ARG PYTHON=3.11
# hadolint ignore=DL3000
RUN --mount=type=bind,source=constraints/c-${PYTHON}.txt,target=/c \\
    --mount=type=bind,from=wheels,target=/w true
COPY sources/ /s/
ARG COMMIT_SHA=""
ENV COMMIT_SHA=${COMMIT_SHA}
"""
ARGUMENTS = {"BASE_IMAGE": "b:2", "PYTHON": "3.12", "COMMIT_SHA": "abc", "UNUSED": "x"}
FILES = {
    "constraints/c-3.11.txt": "100644 aa",
    "constraints/c-3.12.txt": "100644 bb",
    "sources/a.py": "100644 cc",
    "wheels:one.whl": "100644 dd",
    "other:two.whl": "100644 ee",
}


def inputs(text: str = TEXT, files: dict[str, str] | None = None, **arguments: str) -> Inputs:
    given = {**ARGUMENTS, **arguments}
    return fingerprint.gather(dockerfile.parse(text), given, {**FILES, **(files or {})})


def test_only_what_steps_read_counts() -> None:
    found = inputs()
    assert list(found.files) == ["constraints/c-3.12.txt", "wheels:one.whl", "sources/a.py"]
    assert dict(found.arguments) == {"PYTHON": "3.12"}
    assert found.base == "b:2"


def test_a_dockerfile_that_is_not_understood_reads_everything() -> None:
    assert len(inputs(f"{TEXT}ONBUILD RUN x\n").files) == len(FILES)


@pytest.mark.parametrize(
    ("other", "parts"),
    [
        (inputs(), ()),
        (inputs(TEXT.replace("# hadolint", "# another comment\n\n# hadolint")), ()),
        (inputs(COMMIT_SHA="def"), ()),
        (inputs(UNUSED="y"), ()),
        (inputs(files={"constraints/c-3.11.txt": "100644 xx"}), ()),
        (inputs(files={"other:two.whl": "100644 xx"}), ()),
        (inputs(TEXT.replace("/s/", "/t/")), ("dockerfile",)),
        (inputs(BASE_IMAGE="b:3"), ("base",)),
        (inputs(files={"constraints/c-3.12.txt": "100644 xx"}), ("constraints",)),
        (inputs(files={"sources/a.py": "100755 cc"}), ("files",)),
        (inputs(files={"wheels:one.whl": "100644 xx"}), ("files",)),
        (inputs(PYTHON="3.11"), ("arguments", "constraints")),
    ],
)
def test_a_difference_is_named(other: Inputs, parts: tuple[str, ...]) -> None:
    assert fingerprint.changed(inputs().fingerprint, other.fingerprint) == parts


@pytest.mark.parametrize("label", ["", "0 x", "2 dockerfile=abc", "nonsense"])
def test_a_label_of_another_scheme_cannot_be_compared(label: str) -> None:
    assert fingerprint.changed(label, inputs().fingerprint) == ("inputs",)


def test_the_label_is_short() -> None:
    assert len(inputs().fingerprint) < 120


def test_an_image_begins_with_the_layers_of_its_base() -> None:
    assert fingerprint.begins_with(("a", "b", "c"), ("a", "b"))
    assert not fingerprint.begins_with(("a", "x", "c"), ("a", "b"))
    assert not fingerprint.begins_with(("a",), ("a", "b"))
    assert not fingerprint.begins_with(("a",), ())


@pytest.mark.parametrize(
    ("part", "other", "expected"),
    [
        ("dockerfile", inputs(TEXT.replace("/s/", "/t/")), ["line 7: COPY sources/ /t/"]),
        ("dockerfile", inputs(TEXT.replace("COPY sources/ /s/\n", "")), ["an instruction is gone"]),
        ("arguments", inputs(PYTHON="3.13"), ["PYTHON: '3.12' -> '3.13'"]),
        ("base", inputs(BASE_IMAGE="b:3"), ["b:2 -> b:3"]),
        ("files", inputs(files={"sources/b": "100644 x"}), ["sources/b"]),
        (
            "constraints",
            inputs(files={"sources/b": "x", "constraints/c-3.12.txt": "x"}),
            ["constraints/c-3.12.txt"],
        ),
    ],
)
def test_a_record_tells_what_changed(part: str, other: Inputs, expected: list[str]) -> None:
    kept = recipe.noted(BuildRecord("x", base=("", "sha256:1")), inputs())
    assert kept.fingerprint == inputs().fingerprint
    assert kept.base == ("b:2", "sha256:1")
    assert recipe.recorded(kept) == inputs()
    assert fingerprint.details(part, recipe.recorded(kept), other) == expected


def test_a_record_keeps_no_secret() -> None:
    text = 'FROM x\nARG URL\nRUN curl -H "Authorization: Bearer abcdef" https://u:hidden@host/\n'
    kept = recipe.noted(BuildRecord("x"), inputs(text, URL="https://u:hidden@host/"))
    assert "hidden" not in str(kept)
    assert "abcdef" not in str(kept)


def test_a_base_of_the_same_name_has_no_details() -> None:
    one = fingerprint.gather([], {"BASE_IMAGE": "r/base:1"}, {})
    assert fingerprint.details("base", one, one) == []


def test_only_the_argument_with_the_base_is_no_argument() -> None:
    """A defect once found: of an own image, BASE_IMAGE was taken for its base."""
    text = "ARG BASE_IMAGE\nARG AIRFLOW_IMAGE\nFROM ${BASE_IMAGE} AS a\nFROM ${AIRFLOW_IMAGE}\n"
    text += "COPY --from=a /x /\n"

    def label(base: str, image: str) -> str:
        arguments = {"BASE_IMAGE": base, "AIRFLOW_IMAGE": image}
        steps = dockerfile.parse(text)
        return fingerprint.gather(steps, arguments, {}, "AIRFLOW_IMAGE", "prod 1").fingerprint

    assert label("debian:12", "r/p") != label("debian:13", "r/p")
    assert label("debian:12", "r/p") == label("debian:12", "other/p")


TWO_LAYERS = """\
FROM scratch AS sources
FROM scratch AS changes
FROM b AS main
COPY --from=sources / /opt/
COPY --from=changes / /opt/
"""


def divided(**files: str) -> Inputs:
    named = {name.replace("_", ":"): f"100644 {text}" for name, text in files.items()}
    return fingerprint.gather(dockerfile.parse(TWO_LAYERS), {}, named)


def test_how_a_checkout_is_divided_into_layers_is_no_input() -> None:
    whole = divided(sources_a="1", sources_b="2", sources_new="3")
    edited = divided(sources_a="0", sources_b="2", changes_a="1", changes_new="3")
    assert edited.fingerprint == whole.fingerprint
    assert fingerprint.details("files", whole, edited) == []


def test_a_changed_file_of_a_checkout_is_an_input_in_either_layer() -> None:
    whole = divided(sources_a="1", sources_b="2")
    in_base = divided(sources_a="9", sources_b="2")
    above = divided(sources_a="1", sources_b="2", changes_a="9")
    for other in (in_base, above):
        assert fingerprint.changed(whole.fingerprint, other.fingerprint) == ("files",)
        assert fingerprint.details("files", whole, other) == ["sources:a"]
