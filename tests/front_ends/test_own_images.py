"""Images of a project's own, as sessions, tasks, the matrix and the hook know them."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import projects
import pytest
import teams
from fake_docker import ROOT, Bench, last


@pytest.fixture
def team(bench: Bench, tmp_path: Path) -> Bench:
    """A bench at a team's folder with three images of its own."""
    folder = teams.make(tmp_path / "team", "")
    projects.with_own_images(folder)
    there = replace(bench, root=folder)
    there.environment["PYTHONPATH"] = str(ROOT)
    return there


def test_sessions_of_own_images_are_listed(team: Bench) -> None:
    listed = team.nox("-l").stdout
    sessions = re.findall(r"^- (\S+-3\.11) .*-> ", listed, re.MULTILINE)
    own = [name for name in sessions if re.match(r"[a-z]+_(site|dags|tests)-", name)]
    assert own == [
        *(
            f"{verb}_{name}-3.11"
            for verb in ("build", "merge", "verify")
            for name in ("site", "dags", "tests")
        ),
        *("shell_tests-3.11", "test_tests-3.11"),
    ]


def test_a_session_builds_the_base_first(team: Bench) -> None:
    for session in ("build_site-3.11", "build_site-3.11-amd64"):
        done = team.nox(session, "--dry-run")
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        files = re.findall(r"--file (\S+)", done.stdout)
        assert [Path(name).name for name in files] == [
            "Dockerfile",
            "Dockerfile",
            "Dockerfile.site",
        ]
        arguments = [re.findall(r"AIRFLOW_IMAGE=\S+/(\w+)/python3.11", line) for line in lines]
        assert arguments == [[], ["prod"], ["dags"]]


def test_the_whole_matrix_has_own_images(team: Bench) -> None:
    done = team.nox("build_all", "--dry-run", "--platform", "linux/amd64")
    assert done.returncode == 0, done.stderr
    tags = re.findall(r"--tag \S+/main/(\w+)/python(\S+):latest", done.stdout)
    names = ("ci", "prod", "dags", "site", "tests")
    assert sorted(tags) == sorted((name, python) for name in names for python in ("3.11", "3.12"))
    include = json.loads(team.invoke("matrix", "--json").stdout)["include"]
    assert {(row["kind"], row["from"]) for row in include} == {
        *(("ci", ""), ("prod", ""), ("dags", "prod"), ("site", "dags"), ("tests", "ci")),
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("image.build", "--kind", "dag", "--python", "3.11"),
            "--kind: unknown image 'dag': did you mean dags?",
        ),
        (
            ("cache.usage", "--remote", "--kind", "sites"),
            "--kind: unknown image 'sites': did you mean site?",
        ),
        (
            ("image.build", "--kind", "tests", "--python", "3.11", "--prod-uid", "1000"),
            "--prod-uid: is for the PROD image only",
        ),
    ],
)
def test_a_mistake_of_an_option_is_one_line(
    team: Bench, words: tuple[str, ...], message: str
) -> None:
    done = team.invoke(*words)
    assert (done.returncode, done.stderr.splitlines()) == (2, [message])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[images.a]\nfrom = "dag"', "images.a.from: unknown image 'dag': did you mean dags?"),
        (
            '[images.a]\nfrom = "a"',
            "images.a.from: circular base images: a -> a",
        ),
        ('[images.a]\ndag = "x"', "images.a: unknown key 'dag': did you mean dags?"),
    ],
)
def test_a_mistake_in_a_table_is_one_line_of_each_front_end(
    team: Bench, table: str, message: str
) -> None:
    file = team.root / "images.toml"
    file.write_text(f"{file.read_text()}{table}\n")
    done = team.invoke("matrix")
    assert (done.returncode, done.stderr.splitlines()) == (2, [f"images.toml: {message}"])
    done = team.nox("build_site-3.11", "--dry-run")
    assert done.returncode != 0
    assert last(done.stderr) == f"nox > images.toml: {message}"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            '[images.a]\ndockerfile = "Dockerfile.none"',
            "images.a.dockerfile: Dockerfile.none: the stage that is built is not based on "
            "AIRFLOW_IMAGE: begin with "
            "ARG AIRFLOW_IMAGE and FROM ${AIRFLOW_IMAGE}",
        ),
        ('[images.a]\ndags = "../dag"', "images.a.dags: there is no folder ../dag"),
    ],
)
def test_a_mistake_in_a_file_of_a_table_is_one_line_before_anything_starts(
    team: Bench, table: str, message: str
) -> None:
    (team.root / "Dockerfile.none").write_text("FROM python:3.11\n")
    file = team.root / "images.toml"
    file.write_text(f"{file.read_text()}{table}\n")
    done = team.invoke("image.build", "--kind", "a", "--python", "3.11")
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (
        2,
        "",
        [f"images.toml: {message}"],
    )
    done = team.nox("build_a-3.11")
    assert done.returncode != 0
    assert last(done.stderr) == f"nox > Session build_a-3.11 aborted: images.toml: {message}."


def test_a_secret_in_a_table_is_refused_and_not_shown(team: Bench) -> None:
    file = team.root / "images.toml"
    file.write_text(f'{file.read_text()}[images.a]\nenvironment = {{ DB_PASSWORD = "hunter2" }}\n')
    done = team.invoke("matrix")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("images.toml: images.a.environment: 'DB_PASSWORD=***' contains a secret")


def test_the_table_of_the_matrix_says_what_images_stand_on(team: Bench) -> None:
    rows = [line.split()[:2] for line in team.invoke("matrix").stdout.splitlines()]
    assert rows[0] == ["identity", "from"]
    assert ["site-3.11-amd64", "dags"] in rows


def test_a_misspelt_session_of_an_own_image_is_named(team: Bench) -> None:
    done = team.nox("build_sit-3.11")
    assert (
        last(done.stderr) == "nox > unknown session 'build_sit-3.11': did you mean build_site-3.11?"
    )


def test_the_hook_checks_own_images(team: Bench) -> None:
    hook = "from build_tasks.front.hook import main\nraise SystemExit(main())\n"
    (team.root / "airflow-images-check").write_text(hook)
    options = ("--python", "3.11", "--platform", "amd64", "--local")
    done = team.run_program(sys.executable, "airflow-images-check", *options)
    assert done.returncode == 0, done.stderr
    images = re.findall(r"^(\w+)-3.11-amd64: ", done.stdout, re.MULTILINE)
    assert sorted(images) == ["ci", "dags", "prod", "site", "tests"]
    assert "nox -s build_site-3.11-amd64" in done.stdout
