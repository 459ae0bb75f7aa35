"""The Dockerfile that the suite makes of an own image."""

from __future__ import annotations

import re
from typing import Any

import pytest

from build_tasks.errors import UsageError
from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import inputs
from build_tasks.model.matrix import ImageKind
from build_tasks.model.own_image import OwnImage
from build_tasks.plan import own_dockerfile
from build_tasks.plan.own_dockerfile import Packages, Place

PLACE = Place(ImageKind.PROD, 50000, 1)
NONE = Packages()
FILES = dict.fromkeys(
    (
        *("dags:a.py", "plugins:b.py", "config:c.cfg", "requirement-files:r.txt"),
        *("build-script:build-script", "start-script:start-script"),
    ),
    "100644 1",
)


def make(packages: Packages = NONE, place: Place = PLACE, **fields: Any) -> tuple[str, list[str]]:
    """Return the text, and the numbered instructions with the files that each reads."""
    text = own_dockerfile.text(OwnImage("own", **fields), packages, place)
    instructions = dockerfile.parse(text)
    assert dockerfile.not_understood(instructions) == ()
    uses = inputs.needed(instructions, {"AIRFLOW_IMAGE": "r/prod:latest"})
    assert {use.stage.root for use in uses} <= {"r/prod:latest"}
    steps = []
    for use in uses:
        name = use.instruction.text.splitlines()
        title = name[1].removeprefix("# ") if use.instruction.word == "RUN" else name[0]
        steps.append(" ".join((title, *use.reads(FILES))))
    return text, steps


def test_an_image_that_adds_nothing_has_no_step() -> None:
    text, steps = make()
    assert steps == []
    assert text.count("FROM") == 1


def test_what_changes_rarely_comes_first() -> None:
    _, steps = make(
        Packages(("pandas",), ("tree",)),
        environment=(("A", "1"),),
        dags="d",
        plugins="p",
        config="c",
        build_script="b",
        start_script="s",
    )
    assert steps == [
        "install Debian packages",
        "install Python packages requirement-files:r.txt",
        "run the build script build-script:build-script",
        "COPY --from=config --chown=50000:0 / ${AIRFLOW_HOME}/config/ config:c.cfg",
        "COPY --from=plugins --chown=50000:0 / ${AIRFLOW_HOME}/plugins/ plugins:b.py",
        "COPY --from=dags --chown=50000:0 / ${AIRFLOW_HOME}/dags/ dags:a.py",
        "COPY --from=start-script /start-script /start-scripts/01-own start-script:start-script",
        'COPY --chmod=755 <<"EOF" /start-entrypoint',
    ]


@pytest.mark.parametrize(
    ("packages", "fields", "users"),
    [
        (Packages(apt=("tree",)), {}, ["0", "7"]),
        (Packages(python=("x",)), {}, ["7"]),
        (Packages((), ()), {"build_script": "b"}, ["0", "7"]),
        (Packages(("x",), ("tree",)), {"build_script": "b"}, ["0", "7", "0", "7"]),
        (Packages(), {"dags": "d"}, []),
    ],
)
def test_the_user_is_that_of_the_image_below(
    packages: Packages, fields: dict[str, str], users: list[str]
) -> None:
    text, _ = make(packages, Place(ImageKind.PROD, 7, 1), **fields)
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == users
    assert {*re.findall(r"uid=(\d+)|--chown=(\d+):0", text)} <= {("7", ""), ("", "7")}


def test_packages_are_words() -> None:
    packages = Packages(("-r", "r.txt", "x; python_version > '3'"), ("g++", "tree=1:2"))
    text, _ = make(packages)
    assert "\n-r\nr.txt\nx; python_version > '3'\nPACKAGES\n" in text
    assert "--no-install-recommends g++ tree=1:2\n" in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x y", '"x y"'),
        ("$HOME ${A}", r'"\$HOME \${A}"'),
        ('"', r'"\""'),
        ("\\", r'"\\"'),
        ("'", '''"'"'''),
        ("", '""'),
    ],
)
def test_nothing_of_a_variable_is_expanded(value: str, expected: str) -> None:
    text, _ = make(environment=(("A", value),))
    assert f"ENV A={expected}\n" in text


def test_a_variable_of_several_lines_is_one_line() -> None:
    origins = {"environment": "images.toml: images.own.environment"}
    with pytest.raises(UsageError) as caught:
        make(environment=(("A", "1\n2"),), origins=origins)
    assert str(caught.value) == (
        "images.toml: images.own.environment: A: has several lines, which ENV cannot have"
    )


def test_variables_that_change_with_each_commit_are_empty_for_the_steps() -> None:
    text, _ = make(dags="d")
    before, after = text.split("COPY --from=dags")
    assert 'ENV BUILD_ID="" COMMIT_SHA=""\n' in before
    assert after.endswith("ENV BUILD_ID=${BUILD_ID} COMMIT_SHA=${COMMIT_SHA}\n")


@pytest.mark.parametrize(("kind", "command"), [(ImageKind.CI, '["bash"]'), (ImageKind.PROD, "[]")])
def test_a_start_script_keeps_the_command_of_the_image_below(kind: ImageKind, command: str) -> None:
    text, _ = make(place=Place(kind, 50000, 3), start_script="s")
    assert "/start-scripts/03-own" in text
    assert f"\nCMD {command}\n" in text
    assert "ENTRYPOINT" not in make(place=Place(kind, 50000, 3), dags="d")[0]
