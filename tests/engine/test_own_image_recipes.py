"""The recipes of docs/teams.md for own images do what the page says."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import teams
from suite import ROOT, Suite

from build_tasks.engine import emulation

SECTION = "\n## Images on top of Airflow's\n"
#: A small image in PROD's place: what recipes add needs no Airflow.
PROD = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
ENV AIRFLOW_HOME=/opt/airflow
RUN useradd --uid 50000 --gid 0 --create-home airflow \\
    && install --directory --owner airflow --group 0 --mode 0775 /opt/airflow
ARG AIRFLOW_VERSION
RUN echo ${AIRFLOW_VERSION} > /version
USER 50000
ARG BUILD_ID=""
ARG COMMIT_SHA=""
ENV BUILD_ID=${BUILD_ID} COMMIT_SHA=${COMMIT_SHA}
"""
#: What an image has to have, or an index of packages, which a small one has not.
NOT_RUN = ("image.verify", "constraints.generate")
FOLDERS = ("dags", "plugins", "config")

pytestmark = pytest.mark.skipif(not emulation.native("amd64"), reason="names amd64 images")


@dataclass(frozen=True)
class Recipe:
    """A recipe: settings, a Dockerfile ("" for none), and commands with the output beside each."""

    settings: str
    dockerfile: str
    commands: list[tuple[str, str]]


def recipe(title: str) -> Recipe:
    page = (ROOT / "docs/teams.md").read_text("utf-8")
    text = page.partition(SECTION)[2].partition(f"\n### {title}\n")[2]
    text = re.split(r"^##", text, maxsplit=1, flags=re.MULTILINE)[0]

    def blocks(kind: str) -> str:
        found = re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        return "".join(found)

    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", blocks("console"), re.MULTILINE)
    assert steps
    return Recipe(blocks("toml"), blocks("dockerfile"), steps)


@dataclass(frozen=True)
class Team:
    """A folder with the settings of a recipe, and a file in each folder that these name."""

    suite: Suite

    @property
    def root(self) -> Path:
        return self.suite.root

    def run(self, commands: list[tuple[str, str]]) -> None:
        for line, output in commands:
            program, *words = shlex.split(line)
            assert program == "airflow-images"
            if words[0] not in NOT_RUN:
                done = self.suite.good(*words)
                shown = done.stdout.splitlines()
                assert [text for text in shown if text in output.splitlines()] == (
                    output.splitlines()
                ), (line, done.stdout)

    def content(self, name: str, *files: str) -> str:
        image = f"{self.image(name)}:latest"
        return self.suite.engine("run", "--rm", "--entrypoint", "cat", image, *files)

    def image(self, name: str) -> str:
        rows = json.loads(self.suite.good("matrix", "--json").stdout)["include"]
        return str(next(row["image"] for row in rows if row["kind"] == name))


def team(suite: Suite, base: str, folder: Path, recipe: Recipe) -> Team:
    teams.make(folder, recipe.settings)
    # Of a base that BuildKit knows by its digest, it does not look at the layers: what was first
    # built on that one is then not found below another digest with the same layers.
    (folder / "Dockerfile").write_text(
        PROD.replace("/version", f"/version # {secrets.token_hex(8)}")
    )
    for name, table in tomllib.loads(recipe.settings)["images"].items():
        if file := table.get("dockerfile"):
            (folder / file).parent.mkdir()
            (folder / file).write_text(recipe.dockerfile)
        named = [f"{table['context']}/plugins"] if file else [table.get(key) for key in FOLDERS]
        for path in filter(None, named):
            (folder / path).mkdir(parents=True)
            # No other test has made this step.
            (folder / path / f"{name}.py").write_text(f"# {secrets.token_hex(8)}\n")
    there = suite.at(folder).having(
        AIRFLOW_IMAGES_BASE_IMAGE=base,
        AIRFLOW_IMAGES_REPOSITORY=f"tests/recipe-{secrets.token_hex(4)}",
        PYTHONPATH=str(ROOT),
    )
    return Team(there)


def test_dags_in_the_image(suite: Suite, base: str, tmp_path: Path) -> None:
    told = recipe("DAGs in the image")
    mine = team(suite, base, tmp_path / "team", told)
    mine.run(told.commands)
    dag = mine.root / "dags/dags.py"
    assert mine.content("dags", "/opt/airflow/dags/dags.py") == dag.read_text()
    dag.write_text("# another\n")
    mine.run(told.commands)
    ran = mine.suite.ran()
    assert ran["prod-3.11-amd64"] == []
    assert [name for name in ran["dags-3.11-amd64"] if "COPY" not in name] == []
    assert mine.content("dags", "/opt/airflow/dags/dags.py") == "# another\n"


def test_a_dockerfile_of_your_own(suite: Suite, base: str, tmp_path: Path) -> None:
    told = recipe("A Dockerfile of your own")
    mine = team(suite, base, tmp_path / "team", told)
    mine.run(told.commands)
    plugin = (mine.root / "site/plugins/site.py").read_text()
    files = ("/opt/airflow/title.txt", "/opt/airflow/plugins/site.py")
    assert mine.content("site", *files) == f"Our Airflow\n{plugin}"
    mine.suite.good(*shlex.split(told.commands[0][0])[1:], "--build-id", "2")
    assert not any(mine.suite.ran().values()), mine.suite.ran()  # as the ENV line promises


def test_two_images_in_a_chain_and_airflow_upgraded_under_them(
    suite: Suite, base: str, tmp_path: Path
) -> None:
    told = recipe("Two images in a chain")
    mine = team(suite, base, tmp_path / "team", told)
    mine.run(told.commands)
    plugin = mine.root / "plugins/team.py"
    plugin.write_text("# another\n")
    mine.run(told.commands[:1])
    ran = mine.suite.ran()
    assert ran.pop("prod-3.11-amd64") == []
    assert all(ran.values())

    mine.suite.good("image.build", "--kind", "reports", "--python", "3.11")
    settings = mine.root / "images.toml"
    settings.write_text(f'{settings.read_text()}version = "3.3.1"\n')
    pins = mine.root / "constraints/constraints-3.11.txt"
    pins.parent.mkdir()
    pins.write_text(
        "# Made by `airflow-images constraints.generate`: Airflow 3.3.1 on Python 3.11.\n"
        "apache-airflow==3.3.1\n"
    )
    mine.run(recipe("Upgrading Airflow under them").commands)
    files = ("/version", "/opt/airflow/plugins/team.py", "/opt/airflow/dags/reports.py")
    dag = (mine.root / "reports/dags/reports.py").read_text()
    assert mine.content("reports", *files) == f"3.3.1\n# another\n{dag}"
