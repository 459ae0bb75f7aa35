"""Dockerfiles of a project: what they declare and read."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.model.matrix import ImageKind
from build_tasks.plan import dockerfiles
from build_tasks.plan.dockerfiles import Dockerfile

TEXT = """\
ARG OUTSIDE=a
FROM scratch AS wheels
FROM x:1 AS build
ARG AIRFLOW_VERSION
COPY --from=tools a /a
FROM ${OUTSIDE}/y AS main
RUN --mount=type=bind,from=wheels,target=/w true
FROM z
ARG LAST
"""


def read(folder: Path, text: str = TEXT, target: str = "") -> Dockerfile:
    (folder / "Dockerfile").write_text(text)
    return dockerfiles.read(folder / "Dockerfile", "place", target, "place of the target")


def load(folder: Path, text: str = "") -> Settings:
    (folder / "images.toml").write_text(text)
    return loading.load(environment={}, file=folder / "images.toml")


def test_stages_below_the_target_do_not_count(tmp_path: Path) -> None:
    assert read(tmp_path).arguments == {"OUTSIDE", "AIRFLOW_VERSION", "LAST"}
    for target in ("build", "Build"):
        found = read(tmp_path, target=target)
        assert found.arguments == {"OUTSIDE", "AIRFLOW_VERSION"}
        assert found.base({}) == "x:1"
    settings = load(tmp_path, '[ci]\ndockerfile = "Dockerfile"\n')
    none = read(tmp_path, target="wheels")
    assert not none.installs_airflow(settings, ImageKind.CI)
    assert none.installs_airflow(settings, ImageKind.PROD)  # it is no other Dockerfile there


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("buildx", "place of the target: Dockerfile: unknown stage 'buildx': did you mean build?"),
        ("xyz", "place of the target: Dockerfile: unknown stage 'xyz': choose wheels, build, main"),
        ("1", "place of the target: Dockerfile: unknown stage '1': choose wheels, build, main"),
        ("stage-3", "place of the target: Dockerfile: unknown stage 'stage-3': choose wheels"),
    ],
)
def test_an_unknown_stage_is_one_line(tmp_path: Path, target: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, target=target)
    assert message in str(caught.value)


def test_a_context_is_read_by_its_name_alone(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.reads("tools")
    assert found.reads("wheels")
    assert not found.reads("wheel")
    assert not found.reads("main")


@pytest.mark.parametrize(
    ("text", "stands", "base"),
    [
        ("ARG AIRFLOW_IMAGE\nFROM ${AIRFLOW_IMAGE}\n", True, ""),
        ("ARG AIRFLOW_IMAGE=x\nFROM $AIRFLOW_IMAGE AS a\nFROM a\n", True, "x"),
        ("ARG AIRFLOW_IMAGE\nFROM python:3.11\n", False, "python:3.11"),
        (
            "ARG AIRFLOW_IMAGE\nFROM ${AIRFLOW_IMAGE} AS a\nFROM b:1\nCOPY --from=a /x /\n",
            False,
            "b:1",
        ),
        ("ARG AIRFLOW_IMAGES\nFROM ${AIRFLOW_IMAGE}\n", False, ""),
        ("FROM scratch\n", False, ""),
        ("FROM a:1 AS b\nFROM b\n", False, "a:1"),
    ],
)
def test_what_it_stands_on(tmp_path: Path, text: str, stands: bool, base: str) -> None:
    found = read(tmp_path, text)
    assert found.stands_on("AIRFLOW_IMAGE", {}) is stands
    assert found.base({}) == base


def test_a_file_that_no_setting_names_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").symlink_to("none")
    with pytest.raises(
        UsageError, match=r"/Dockerfile: cannot be read: No such file or directory$"
    ):
        dockerfiles.of_kind(load(tmp_path), ImageKind.PROD)


def test_an_argument_may_name_its_base(tmp_path: Path) -> None:
    found = read(tmp_path, "ARG PYTHON_BASE_IMAGE=a:1\nFROM ${PYTHON_BASE_IMAGE} AS main\n")
    assert found.base({"PYTHON_BASE_IMAGE": "b:2"}) == "b:2"
    assert found.base({}) == "a:1"


@pytest.mark.parametrize(("variant", "stands"), [("full", True), ("plain", False), ("", False)])
def test_an_argument_may_choose_the_stage(tmp_path: Path, variant: str, stands: bool) -> None:
    found = read(
        tmp_path,
        "ARG AIRFLOW_IMAGE\nARG VARIANT=plain\nFROM debian AS plain\n"
        "FROM ${AIRFLOW_IMAGE} AS full\nFROM ${VARIANT}\n",
    )
    given = {"VARIANT": variant} if variant else {}
    assert found.stands_on("AIRFLOW_IMAGE", given) is stands


def test_an_image_with_another_name_is_not_the_one_of_the_argument(tmp_path: Path) -> None:
    found = read(tmp_path, "ARG AIRFLOW_IMAGE\nFROM ${AIRFLOW_IMAGE}-debug\n")
    assert not found.stands_on("AIRFLOW_IMAGE", {})


@pytest.mark.parametrize(
    ("last", "base"), [("FROM distroless/python3", "distroless/python3"), ("FROM build", "")]
)
def test_only_the_last_stage_decides_on_the_base(tmp_path: Path, last: str, base: str) -> None:
    text = f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}} AS build\n{last}\nCOPY --from=build /x /\n"
    assert read(tmp_path, text).base({}) == base


def test_its_own_ignore_file_is_beside_it(tmp_path: Path) -> None:
    assert read(tmp_path).ignore_file is None
    (tmp_path / "Dockerfile.dockerignore").touch()
    assert read(tmp_path).ignore_file == tmp_path / "Dockerfile.dockerignore"


def test_the_files_of_airflows_images_may_be_elsewhere(tmp_path: Path) -> None:
    shipped = dockerfiles.of_kind(load(tmp_path), ImageKind.PROD)
    assert shipped.installs_airflow(load(tmp_path), ImageKind.PROD)
    assert not dockerfiles.is_other(load(tmp_path), ImageKind.PROD)
    assert dockerfiles.context_of(load(tmp_path), ImageKind.PROD) == tmp_path
    (tmp_path / "own").mkdir()
    (tmp_path / "own/Other").write_text(TEXT)
    settings = load(tmp_path, '[ci]\ndockerfile = "own/Other"\ntarget = "build"\ncontext = "own"\n')
    found = dockerfiles.of_kind(settings, ImageKind.CI)
    assert (found.file, found.target) == (tmp_path / "own/Other", "build")
    assert dockerfiles.is_other(settings, ImageKind.CI)
    assert dockerfiles.context_of(settings, ImageKind.CI) == tmp_path / "own"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[ci]\ndockerfile = "Other"\n', "images.toml: ci.dockerfile: there is no file "),
        ('[ci]\ndockerfile = "."\n', "images.toml: ci.dockerfile: there is no file "),
        ('[ci]\ncontext = "other"\n', "images.toml: ci.context: there is no folder other"),
        ('[ci]\ntarget = "mai2"\n', "images.toml: ci.target: Dockerfile.ci: unknown stage 'mai2'"),
    ],
)
def test_what_is_missing_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    settings = load(tmp_path, text)
    ask = dockerfiles.context_of if "context" in text else dockerfiles.of_kind
    with pytest.raises(UsageError) as caught:
        ask(settings, ImageKind.CI)
    assert str(caught.value).startswith(message)


def test_arguments_are_those_that_it_declares(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.select({"LAST": "1"}, {"AIRFLOW_VERSION"}, "place") == {"LAST": "1"}
    for given, message in (
        ("LIST", "place: LIST: Dockerfile does not declare it: did you mean LAST?"),
        ("QUITE_ELSE", "place: QUITE_ELSE: Dockerfile does not declare it: declare it with ARG"),
        ("AIRFLOW_VERSION", "place: AIRFLOW_VERSION: it is set from other settings"),
    ):
        with pytest.raises(UsageError) as caught:
            found.select({given: "1"}, {"AIRFLOW_VERSION"}, "place")
        assert str(caught.value).startswith(message)
