"""A team's own repository: which images.toml counts, and which files are its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import teams
from fake_docker import ROOT, Bench, last

BUILD = ("image.build", "--python", "3.11")
PINS = "# Made by `airflow-images constraints.generate`: Airflow 3.3.2 on Python 3.11.\n"


@pytest.fixture
def team(bench: Bench, tmp_path: Path) -> Bench:
    """A bench at a team's folder, which is in no repository and has only settings."""
    folder = teams.make(tmp_path / "home/team", 'repository = "team/airflow"\n')
    teams.install(tmp_path / "bin")
    there = replace(bench, root=folder)
    there.environment["PYTHONPATH"] = str(ROOT)
    return there


def command(team: Bench, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return team.run_program("airflow-images", *words, **environment)


def argument(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_the_package_has_what_a_team_lacks(team: Bench) -> None:
    done = command(team, *BUILD)
    assert done.returncode == 0, done.stderr
    (words,) = team.builds()
    assert argument(words, "--file") == str(ROOT / "Dockerfile.ci")
    sent = Path(words[-1])
    assert sent.name == "team"
    for name in ("constraints/constraints-3.11.txt", "constraints/baseline-3.11.txt"):
        assert (sent / name).read_bytes() == (ROOT / name).read_bytes()
    assert (sent / "sources/dags").is_dir()
    assert not (sent / "sources/README.md").exists()
    assert not (sent / "images.toml").exists()
    assert sorted(path.name for path in team.root.iterdir() if path.name != "__pycache__") == [
        *("images.toml", "noxfile.py", "tasks.py"),
    ]


def test_own_files_come_first(team: Bench) -> None:
    (team.root / "constraints").mkdir()
    (team.root / "sources").mkdir()
    (team.root / "constraints/constraints-3.11.txt").write_text(f"{PINS}apache-airflow==3.3.2\n")
    (team.root / "sources/mine.py").write_text("pass")
    shutil.copy(ROOT / "Dockerfile.ci", team.root)
    done = command(team, *BUILD)
    assert done.returncode == 0, done.stderr
    (words,) = team.builds()
    assert argument(words, "--file") == str(team.root / "Dockerfile.ci")
    sent = Path(words[-1])
    assert (sent / "constraints/constraints-3.11.txt").read_text().startswith(PINS)
    assert (sent / "constraints/constraints-3.12.txt").exists()
    assert [path.name for path in (sent / "sources").iterdir()] == ["mine.py"]
    shown = json.loads(command(team, "settings", "--json").stdout)
    assert shown["file"] == {"value": str(team.root / "images.toml"), "from": "current folder"}
    assert shown["files"]["value"] == ["Dockerfile.ci", "constraints", "sources"]


def test_an_own_file_changes_the_fingerprint(team: Bench) -> None:
    def label() -> str:
        shown = command(team, *BUILD, "--dry-run").stdout
        return shown.partition("org.apache.airflow.image.inputs=")[2].partition("'")[0]

    first = label()
    (team.root / "sources").mkdir()
    (team.root / "sources/mine.py").touch()
    second = label()
    assert first.partition(" files=")[0] == second.partition(" files=")[0]
    assert first != second


def test_a_dockerignore_of_ones_own_lets_in_what_the_package_ships(team: Bench) -> None:
    (team.root / ".dockerignore").write_text("*\n!sources\n")
    (team.root / "sources").mkdir()
    (team.root / "sources/mine.py").touch()
    done = command(team, *BUILD)
    assert done.returncode == 0, done.stderr
    sent = Path(team.builds()[0][-1])
    assert (sent / "constraints/constraints-3.11.txt").exists()
    assert not (sent / "images.toml").exists()


def test_a_folder_below_is_in_the_same_project(team: Bench) -> None:
    below = team.root / "dags/daily"
    below.mkdir(parents=True)
    done = command(replace(team, root=below), *BUILD)
    assert done.returncode == 0, done.stderr
    assert "ghcr.io/team/airflow/main/ci/python3.11:latest" in team.builds()[0]
    shown = command(replace(team, root=below), "settings").stdout.splitlines()[1]
    assert shown.split()[:2] == ["file", str(team.root / "images.toml")]


def test_a_file_can_be_named(team: Bench, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    away = replace(team, root=tmp_path / "elsewhere")
    file = str(team.root / "images.toml")
    for done in (
        command(away, "--file", file, *BUILD, "--dry-run"),
        command(away, *BUILD, "--dry-run", AIRFLOW_IMAGES_FILE=file),
    ):
        assert done.returncode == 0, done.stderr
        assert "ghcr.io/team/airflow/main/ci/python3.11:latest" in done.stdout
    checked = command(away, "--file", file, "image.check", "--kind", "ci", "--local")
    named = f"airflow-images --file {file} image.build --kind ci --python 3.11"
    assert last(checked.stdout) == f"  {named}"


def test_sessions_and_tasks_are_those_of_the_package(team: Bench) -> None:
    assert team.nox("build_prod-3.11").returncode == 0
    assert team.invoke(*BUILD).returncode == 0
    assert [argument(words, "--file") for words in team.builds()] == [
        *(str(ROOT / "Dockerfile"), str(ROOT / "Dockerfile.ci")),
    ]
    listed = team.run("nox", "--list").stdout
    assert "- build_prod-3.11 " in listed
    assert "* " not in listed.partition("sessions marked")[0]
    assert team.run("nox").returncode == 0  # runs nothing
    assert len(team.builds()) == 2
    wrong = team.nox("build_prod-3.12")
    assert last(wrong.stderr).endswith(
        "unknown session 'build_prod-3.12': did you mean build_prod-3.11?"
    )


def test_sessions_and_tasks_of_ones_own_run_beside_them(team: Bench) -> None:
    tasks, noxfile = team.root / "tasks.py", team.root / "noxfile.py"
    own = '\n\n@task\ndef send(_, to="all"):\n    print(f"sent to {to}")\n\n\n'
    text = tasks.read_text().replace("\n\n", f"\nfrom invoke import task\n{own}", 1)
    tasks.write_text(text.replace("namespace()", "namespace(send)"))
    own = '\n\n@nox.session(venv_backend="none")\ndef send(session):\n    print("sent")\n\n\n'
    noxfile.write_text(noxfile.read_text().replace("\n\n", f"\nimport nox\n{own}", 1))
    for words in (("send", "--to", "me"), (*BUILD, "send", "--to", "me", "settings")):
        done = team.invoke(*words)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("sent to me\n")
    assert team.nox("send").stdout == "sent\n"
    assert len(team.builds()) == 1
    assert "\n  send" in team.invoke("-l").stdout


def test_without_settings_each_front_end_says_so_in_one_line(team: Bench) -> None:
    (team.root / "images.toml").unlink()
    reason = f"there is no images.toml in {team.root} or above: "
    assert last(command(team, *BUILD).stderr).startswith(reason)
    assert last(team.invoke(*BUILD).stderr).startswith(reason)
    assert last(team.nox("build_ci-3.11").stderr).startswith(f"nox > {reason}")
    assert command(team, "engine.status").returncode == 0
    assert not team.builds()


def test_hints_are_commands_of_the_front_end(team: Bench) -> None:
    (team.root / "constraints").mkdir()
    old = "# Made by `x`: Airflow 3.0.0 on Python 3.11.\napache-airflow==3.0.0\n"
    (team.root / "constraints/constraints-3.11.txt").write_text(old)
    for done, hint in (
        (command(team, *BUILD), "airflow-images constraints.generate --python 3.11"),
        (team.invoke(*BUILD), "invoke constraints.generate --python 3.11"),
        (team.nox("build_ci-3.11"), "nox -s constraints-3.11"),
    ):
        assert f"constraints-3.11.txt: has Airflow 3.0.0, not 3.3.2: run: {hint}" in done.stderr


@pytest.mark.parametrize(
    ("typed", "candidates"),
    [
        ("image.b", ["image.build "]),
        ("image.build --kin", ["--kind "]),
        ("image.build --kind ", ["ci", "prod"]),
        ("image.build --kind ci,", ["ci,prod "]),
        ("image.build --python ", ["3.11 "]),
        ("image.verify prod-", ["prod-3.11 "]),
        ("image.build --cache-mode l", ["local "]),
    ],
)
def test_bash_completes_tasks_options_and_values(
    team: Bench, typed: str, candidates: list[str]
) -> None:
    script = """
        eval "$(airflow-images --print-completion-script bash)"
        COMP_LINE="airflow-images $1" COMP_POINT=$((${#1} + 15)) COMP_TYPE=9
        _python_argcomplete airflow-images "" ""
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = team.run_program("/bin/bash", "--norc", "-c", script, "bash", typed)
    assert (done.stdout.splitlines(), done.stderr) == (candidates, "")


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="mounts the folder read-only"
)
@pytest.mark.parametrize(
    "words",
    [
        ("airflow-images", *BUILD),
        (sys.executable, "-m", "nox", "-s", "build_ci-3.11"),
        (sys.executable, "-m", "invoke", *BUILD),
    ],
    ids=["airflow-images", "nox", "invoke"],
)
def test_the_root_need_not_be_writable(team: Bench, words: tuple[str, ...]) -> None:
    script = (
        "mount --bind . . && mount -o remount,bind,ro . && cd $PWD && ! touch x 2>/dev/null "
        '&& exec "$@"'
    )
    done = team.run_program("/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, "sh", *words)
    assert done.returncode == 0, done.stderr
    assert len(team.builds()) == 1
    refused = team.run_program(
        *("/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, "sh", "airflow-images"),
        *("image.build", "--kind", "prod", "--python", "3.11", "--push-by-digest"),
        FAKE_METADATA=json.dumps({"containerimage.digest": f"sha256:{'1' * 64}"}),
    )
    assert refused.returncode == 6
    assert f"{team.root}/dist/digests/prod-3.11-amd64.json cannot be written" in refused.stderr
