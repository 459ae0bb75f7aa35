"""The Dockerfile that the suite makes of an own image."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from build_tasks.errors import UsageError
from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import inputs
from build_tasks.model.own_image import OwnImage
from build_tasks.plan import own_dockerfile
from build_tasks.plan.own_dockerfile import Below, Packages

BELOW = Below("50000")
NONE = Packages()
FILES = dict.fromkeys(
    (
        *("dags:a.py", "plugins:b.py", "config:c.cfg", "requirement-files:r.txt"),
        *("build-script:build-script", "start-script:start-script"),
    ),
    "100644 1",
)


def make(packages: Packages = NONE, below: Below = BELOW, **fields: Any) -> tuple[str, list[str]]:
    """Return the text, and the numbered instructions with the files that each reads."""
    text = own_dockerfile.text(OwnImage("own", **fields), packages, below)
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
        "make folders that any user of group 0 can write to",
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
        (Packages(), {"dags": "d"}, ["0", "7"]),
        (Packages(), {"dags": "d", "build_script": "b"}, ["0", "7"]),
        (Packages(), {"start_script": "s"}, []),
    ],
)
def test_the_user_is_that_of_the_image_below(
    packages: Packages, fields: dict[str, str], users: list[str]
) -> None:
    text, _ = make(packages, Below("7"), **fields)
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
    before, after = text.split("RUN ")
    assert 'ENV BUILD_ID="" COMMIT_SHA=""\n' in before
    assert after.endswith("ENV BUILD_ID=${BUILD_ID} COMMIT_SHA=${COMMIT_SHA}\n")


@pytest.mark.parametrize(("command", "text"), [(["a", "b c"], '["a", "b c"]'), ([], "[]")])
def test_a_start_script_keeps_the_command_of_the_image_below(command: list[str], text: str) -> None:
    below = Below("50000", command, 3)
    made, _ = make(below=below, start_script="s")
    assert "/start-scripts/03-own" in made
    assert f"\nCMD {text}\n" in made
    assert "ENTRYPOINT" not in make(below=below, dags="d")[0]


def test_a_user_may_have_a_name_and_a_group() -> None:
    below = Below("airflow:root")
    text, _ = make(Packages(("x",), ()), below, dags="d")
    assert "\nUSER airflow:root\n" in text
    assert "--chown=airflow:0 /" in text
    assert "--owner airflow --group 0" in text
    assert "--mount=type=tmpfs,target=/var/cache/python " in text
    assert "id=index,required=false,mode=0444" in text


def test_folders_are_writable_by_their_group() -> None:
    text, _ = make(dags="d", config="c")
    assert "\ninstall --directory --owner 50000 --group 0 --mode 0775 config dags\n" in text


@dataclass(frozen=True)
class Distribution:
    """What the step asks of a distribution."""

    name: str
    version: str
    built: bool = False

    @property
    def metadata(self) -> dict[str, str]:
        return {"Name": self.name}

    def read_text(self, file: str) -> str | None:
        assert file == "direct_url.json"
        return "{}" if self.built else None


Constrain = Callable[..., set[str]]


@pytest.fixture
def constrain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Constrain:
    """Return the constraints of the step in an image that has some distributions."""
    text, _ = make(Packages(("x",)))
    script = text.partition('<<"PYTHON"\n')[2].partition("\nPYTHON\n")[0]
    (tmp_path / "r.txt").write_text("# a list\nFrom_File>2\n")
    monkeypatch.chdir(tmp_path)
    home = tmp_path.with_name("home")
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))

    def run(
        *installed: Distribution, constraints: str = "", words: tuple[str, ...] = ()
    ) -> set[str]:
        (home / "constraints.txt").write_text(constraints)
        monkeypatch.setattr(metadata, "distributions", lambda: installed)
        monkeypatch.setattr(sys, "argv", ["-", *words])
        with redirect_stdout(io.StringIO()) as output:
            exec(script, {})  # noqa: S102 - the step's own script
        return {*output.getvalue().split()}

    return run


@pytest.mark.parametrize("word", ["Extra.Pkg>2", "extra_pkg[a]~=2.0"])
def test_what_is_installed_changes_only_if_a_requirement_names_it(
    constrain: Constrain, word: str
) -> None:
    names = ("apache-airflow", "extra-pkg", "other", "from-file")
    installed = [Distribution(name, "1") for name in names]
    assert constrain(*installed, words=(word,)) == {"apache-airflow==1", "other==1"}


def test_airflow_and_what_came_from_a_wheel_stay_whatever_the_constraints_say(
    constrain: Constrain,
) -> None:
    found = constrain(
        Distribution("apache-airflow", "3.3"),
        Distribution("Apache_Provider", "2.dev0", built=True),
        Distribution("rich", "14"),
        constraints="apache-airflow==3.2\napache-provider==1\nrich==13\nattrs==25\n",
        words=("apache-airflow", "apache-provider"),
    )
    assert found == {"apache-airflow==3.3", "apache-provider==2.dev0", "rich==13", "attrs==25"}


def test_a_distribution_without_a_name_is_left_out(constrain: Constrain) -> None:
    assert constrain(Distribution("", "1"), Distribution("a", "2")) == {"a==2"}
