"""What steps mean to BuildKit, however they are written."""

from __future__ import annotations

import pytest

from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import semantics
from build_tasks.inputs.dockerfile.semantics import Step


def step(text: str, **values: str) -> Step:
    (instruction,) = dockerfile.parse(text)
    return semantics.step(instruction, values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RUN --network=none --mount=target=/a x", "RUN --mount=target=/a --network=none x"),
        ("RUN --mount=src=a,dst=/b,ro x", "RUN --mount=readonly,target=/b,source=a x"),
        (
            "RUN --mount=type=cache,id=a,target=/c x",
            "RUN --mount=type=cache,target=/c,id=b x",
        ),
        ("RUN <<A\ntrue\nA", "RUN <<B\ntrue\nB"),
        ("RUN --mount=from=One,target=/a x", "RUN --mount=from=one,target=/a x"),
        ('COPY a "/b"', "COPY ./a /b"),
        ("COPY a b /c/", 'COPY ["a", "b", "/c/"]'),
        ("COPY --chmod=0644 a /b", "COPY --chmod=644 a /b"),
        ("COPY <<A /b\n1\nA", "COPY <<A /b\n1\nA\n"),
        ("WORKDIR /a/../b", "WORKDIR /b/"),
    ],
)
def test_what_is_written_otherwise_means_the_same(one: str, other: str) -> None:
    assert step(one) == step(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RUN x", "RUN y"),
        ("RUN x", 'RUN ["x", "y"]'),
        ("RUN <<A\ntrue\nA", "RUN <<-A\ntrue\nA"),
        ("RUN --mount=type=bind,id=a,target=/c x", "RUN --mount=type=bind,id=b,target=/c x"),
        ("COPY a /b", "ADD a /b"),
        ("COPY a b /c/", "COPY b a /c/"),
        ("WORKDIR /a", "WORKDIR a"),
    ],
)
def test_what_differs_means_something_else(one: str, other: str) -> None:
    assert step(one) != step(other)


def test_variables_are_replaced_in_copies_and_left_to_the_shell_in_runs() -> None:
    assert step("COPY $A /$B", A="1", B="2") == Step(("COPY", "1", "/2"), ("1",))
    assert step("RUN echo $A", A="1") == Step(("echo $A",))
    assert step("COPY <<E /f\n$A\nE", A="1").meaning[-2:] == ("E", "/f")
    assert "1" in step("COPY <<E /f\n$A\nE", A="1").meaning
    assert "$A" in step("COPY <<'E' /f\n$A\nE", A="1").meaning


def test_remote_sources_are_not_in_the_context() -> None:
    assert step("ADD https://h/x $URL a /d/", URL="https://h/y").files == ("a",)


def test_stages_can_be_renamed_in_a_meaning() -> None:
    one, other = step("COPY --from=a x /y"), step("COPY --from=b x /y")
    assert one.stages == ("a",)
    assert one.meaning != other.meaning
    names = {"a": "0", "b": "0"}
    assert semantics.with_stages(one.meaning, names) == semantics.with_stages(other.meaning, names)


def test_the_configuration_of_an_image_does_not_depend_on_how_it_is_written() -> None:
    def configuration(text: str) -> dict[str, object]:
        result: dict[str, object] = {}
        for instruction in dockerfile.parse(text):
            result = semantics.configuration(instruction, result, {"P": "80"})
        return result

    one = configuration('LABEL a=1\nLABEL b="2"\nEXPOSE 80 81/TCP\nCMD ["x", "y"]\nUSER 5')
    assert one == configuration('LABEL b=2 a=1\nEXPOSE 81\nEXPOSE $P\nCMD ["x","y"]\nUSER 5')
    assert one["EXPOSE"] == ["80/tcp", "81/tcp"]
    assert one["CMD"] == ["x", "y"]
    assert configuration("CMD x")["CMD"] == "x"
    assert configuration('CMD ["x"]')["CMD"] == ["x"]
    assert configuration("CMD []")["CMD"] == []


@pytest.mark.parametrize("text", ["x", "[x", "[1]", '["a", 1]', "[" * 9999])
def test_what_is_no_list_of_texts_is_for_the_shell(text: str) -> None:
    assert semantics.exec_form(text) is None
