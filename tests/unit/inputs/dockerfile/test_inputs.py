"""What each step of a Dockerfile stands on."""

from __future__ import annotations

import pytest

from build_tasks.config.project import SHIPPED as ROOT
from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import inputs
from build_tasks.inputs.dockerfile.inputs import Use
from build_tasks.model.matrix import ImageKind


def uses(text: str, **arguments: str) -> tuple[Use, ...]:
    return inputs.uses(dockerfile.parse(text), arguments)


def test_steps_of_stages_that_nothing_needs_are_left_out() -> None:
    text = """\
FROM scratch AS unused
COPY a /
FROM scratch AS files
COPY b /
FROM base AS build
COPY --from=files / /
RUN --mount=from=mounted,target=/m c
FROM scratch AS mounted
COPY d /
FROM build AS last
FROM last
"""
    found = inputs.needed(dockerfile.parse(text), {})
    assert [use.stage.name for use in found] == ["files", "build", "build", "mounted"]
    assert inputs.needed((), {}) == ()


def test_steps_are_numbered_as_buildkit_does() -> None:
    """Seen on BuildKit 0.25: an image counts as a step; scratch and another stage do not."""
    text = """\
FROM scratch AS files
COPY a /
FROM base AS build
ENV X=1
WORKDIR /w
RUN one
FROM build AS last
RUN two
"""
    found = [(use.stage.name, use.number, use.instruction.word) for use in uses(text)]
    assert found == [
        ("files", 1, "COPY"),
        ("build", 2, "WORKDIR"),
        ("build", 3, "RUN"),
        ("last", 1, "RUN"),
    ]


def test_a_program_sees_all_arguments_above_it_and_no_other() -> None:
    text = "ARG G=g\nFROM x\nARG A=1\nARG G\nRUN a\nARG B=2\nRUN b\nFROM x\nRUN c"
    found = uses(text, B="3")
    assert [dict(use.variables) for use in found] == [
        {"A": "1", "G": "g"},
        {"A": "1", "G": "g", "B": "3"},
        {},
    ]


def test_a_copy_sees_what_it_names() -> None:
    text = "FROM x\nARG A=1\nARG B=2\nCOPY ${A}/ /to/\nWORKDIR /${B}\nCOPY <<EOF /f\n$A\nEOF\n"
    found = uses(f'{text}COPY <<"EOF" /g\n$A\nEOF')
    assert [dict(use.variables) for use in found] == [{"A": "1"}, {"B": "2"}, {"A": "1"}, {}]
    assert found[0].files == ("1",)


def test_the_environment_hides_arguments_and_outlives_the_stage() -> None:
    text = "FROM x AS a\nARG V=1\nENV V=e$V W=$V\nUSER 5\nFROM a\nARG V\nRUN b"
    (use,) = uses(text)
    assert dict(use.variables) == {"V": "e1", "W": "1"}
    assert dict(use.state) == {"USER": "5"}


@pytest.mark.parametrize(
    ("step", "files", "stages"),
    [
        ("COPY a b/ /to/", ("a", "b"), ()),
        ('COPY ["a b", "c", "/to/"]', ("a b", "c"), ()),
        ("COPY . /to", (".",), ()),
        ("COPY / /to", (".",), ()),
        ("COPY --chown=1:0 --link ./a/../b /to", ("b",), ()),
        ("COPY --from=Build /x /y", (), ("build",)),
        ("ADD https://host/x a.tar /", ("a.tar",), ()),
        ("COPY <<EOF a /to/", ("a",), ()),
        ("RUN --mount=type=bind,source=a,target=/a x", ("a",), ()),
        ("RUN --mount=target=/all x", (".",), ()),
        ("RUN --mount=type=bind,from=s,target=/a x", (), ("s",)),
        ("RUN --mount=type=cache,target=/c --mount=type=secret,id=s x", (), ()),
        ("RUN --mount=type=cache,from=s,target=/c x", (), ("s",)),
        ("RUN --network=none x", (), ()),
    ],
)
def test_a_step_has_the_files_and_stages_that_it_reads(
    step: str, files: tuple[str, ...], stages: tuple[str, ...]
) -> None:
    (use,) = uses(f"FROM x\n{step}")
    assert use.files == files
    assert use.stages == stages


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a", ["a/x.txt", "a/y/z.txt"]),
        ("a/*.txt", ["a/x.txt"]),
        ("*.txt", ["b.txt"]),
        (".", ["a/x.txt", "a/y/z.txt", "b.txt"]),
        ("a/y", ["a/y/z.txt"]),
    ],
)
def test_patterns_match_as_in_buildkit(pattern: str, expected: list[str]) -> None:
    (use,) = uses(f"FROM x\nCOPY {pattern} /to/")
    assert use.reads(["a/x.txt", "a/y/z.txt", "b.txt", "wheels:c.whl"][:3]) == expected


def test_files_of_a_named_context_belong_to_its_readers() -> None:
    one, two = uses("FROM x\nRUN --mount=from=wheels,target=/w a\nRUN b")
    assert one.reads(["wheels:c.whl", "wheels"]) == ["wheels:c.whl"]
    assert not two.reads(["wheels:c.whl"])


def test_the_ci_image_reads_the_constraints_of_its_python_alone() -> None:
    text = (ROOT / ImageKind.CI.dockerfile).read_text(encoding="utf-8")
    names = ("constraints-3.11", "constraints-3.12", "baseline-3.11", "baseline-3.12")
    paths = [*(f"constraints/{name}.txt" for name in names), "sources/a"]
    read = [use.reads(paths) for use in uses(text, AIRFLOW_PYTHON_VERSION="3.12")]
    assert [one for one in read if one] == [[paths[4]], [paths[1]], [paths[4]], [paths[3]]]


def test_the_outcome_of_a_dockerfile_stands_on_its_base() -> None:
    text = """\
ARG BASE=b:1
FROM scratch AS files
COPY a /
FROM ${BASE} AS parent
USER 1
WORKDIR here
ENV A=$HOME
FROM parent
COPY --link --from=files / /
ADD --link=false b /
WORKDIR /
WORKDIR there
ARG LATE
ENV B=$LATE
"""
    made = inputs.outcome(dockerfile.parse(text), {"LATE": "c"}, {"HOME": "/h", "B": "0"}, "/base")
    assert made.root == "b:1"
    assert made.environment == {"HOME": "/h", "A": "/h", "B": "c"}
    assert made.state == {"USER": ["1"], "WORKDIR": ["/there"]}
    assert made.linked == (False, True, False, False)
    assert made.configuration == {}
    bare = inputs.outcome(dockerfile.parse("FROM scratch\n"), {}, {"A": "1"}, "/")
    assert (bare.root, bare.environment, bare.state, bare.linked) == ("", {}, {}, ())


def test_the_outcome_of_the_own_dockerfiles_is_known() -> None:
    for kind in ImageKind:
        text = (ROOT / kind.dockerfile).read_text(encoding="utf-8")
        made = inputs.outcome(dockerfile.parse(text), {"BASE_IMAGE": "b:1"}, {"PATH": "/bin"}, "/")
        assert made.root == "b:1"
        assert made.state["SHELL"] == ("/bin/bash", "-euo", "pipefail", "-c")
        assert made.environment["PATH"].endswith(":/bin")
        assert {True, False} == {*made.linked}
