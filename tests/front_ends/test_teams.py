"""A team's own repository: an empty folder, and an environment with only the wheel."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import wheels
from fake_docker import Bench, last

FILES = {
    *("images.toml", "noxfile.py", "tasks.py", ".dockerignore", ".gitattributes"),
    "images.schema.json",
}


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    return wheels.install(wheels.build(folder), folder / "environment")


@dataclass(frozen=True)
class Team:
    bench: Bench
    programs: Path

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.bench.run_program(str(self.programs / program), *words)

    def good(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        done = self.run(program, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def command(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command that the suite printed."""
        return self.good(*shlex.split(line))


@pytest.fixture
def team(bench: Bench, programs: Path, tmp_path: Path) -> Team:
    folder = tmp_path / "team"
    folder.mkdir()
    bench.environment.pop("NOX_SCRIPT_MODE")
    return Team(replace(bench, root=folder), programs)


def test_from_an_empty_folder_to_an_image(team: Team, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    done = team.good("airflow-images", "init")
    assert {path.name for path in team.bench.root.iterdir()} == FILES
    team.command(last(done.stdout).removeprefix("next: "))
    team.good("nox", "-s", "build_prod-3.11")
    team.good("invoke", "image.build", "--kind", "prod", "--python", "3.11")
    first, *others = team.bench.builds()
    assert others == [first, first]
    assert "ghcr.io/my-team/airflow/main/prod/python3.11:latest" in first
    assert "AIRFLOW_VERSION=3.3.2" in first

    check = team.good("airflow-images", "image.check", "--kind", "prod")
    assert check.stdout.startswith("prod-3.11-amd64: out of date\n")
    team.command(last(check.stdout))
    hook = team.good("airflow-images-check", "--kind", "prod")
    assert last(hook.stdout).strip() == "nox -s build_prod-3.11"
    team.command(last(hook.stdout))
    assert team.bench.builds() == 5 * [first]
    team.good("airflow-images", "image.explain")
    assert "prod-3.11-amd64" in team.good("airflow-images", "image.report").stdout

    inside = {path.name for path in team.bench.root.iterdir()}
    assert inside - FILES <= {".nox", "__pycache__"}
    assert {path.name for path in tmp_path.iterdir()} - before <= {"cache", "log"}


def test_all_sessions_and_tasks_are_there(team: Team) -> None:
    team.good("airflow-images", "init")
    listed = team.good("nox", "-l").stdout
    sessions = re.findall(r"^- (\S+) .*-> ", listed, re.MULTILINE)
    assert sessions == [
        *("build_ci-3.11", "build_prod-3.11", "merge_ci-3.11", "merge_prod-3.11"),
        *("verify_ci-3.11", "verify_prod-3.11", "shell_ci-3.11", "test_ci-3.11"),
        *("build_all", "constraints-3.11"),
    ]
    assert not re.findall(r"^\* ", listed, re.MULTILINE)  # `nox` alone runs none
    by_invoke, by_command = (
        re.findall(r"^  ([a-z.]+) ", team.good(program, "-l").stdout, re.MULTILINE)
        for program in ("invoke", "airflow-images")
    )
    assert sorted(by_invoke) == sorted(by_command)
    assert {"image.build", "constraints.generate", "init", "settings"} < {*by_command}
    assert team.good("airflow-images", "--version").stdout.split()[-1].count(".") == 2


def test_what_is_in_the_folder_is_kept_and_used(team: Team) -> None:
    (team.bench.root / "Dockerfile").write_text("FROM scratch\nCOPY sources /x\n")
    (team.bench.root / "images.toml").write_text('pythons = ["3.12"]\nrepository = "mine"\n')
    done = team.good("airflow-images", "init")
    assert "images.toml: kept as it is" in done.stdout
    team.command(last(done.stdout).removeprefix("next: "))
    (build,) = team.bench.builds()
    assert "ghcr.io/mine/main/prod/python3.12:latest" in build


def test_a_wrong_key_is_one_line(team: Team) -> None:
    team.good("airflow-images", "init")
    file = team.bench.root / "images.toml"
    file.write_text(file.read_text().replace("extras =", "extra ="))
    message = "images.toml: [airflow]: unknown key 'extra': did you mean extras?"
    for command in (("airflow-images", "settings"), ("nox", "-l"), ("invoke", "settings")):
        done = team.run(*command)
        assert done.returncode in {1, 2}
        assert last(done.stderr).endswith(message)


def test_without_settings_a_command_says_how_to_write_them(team: Team) -> None:
    done = team.run("airflow-images", "image.build", "--python", "3.11")
    assert done.returncode == 2
    message, command = last(done.stderr).rsplit(": ", 1)
    assert message.endswith("or above: write one with")
    team.command(command)
    team.good("airflow-images", "image.build", "--python", "3.11", "--dry-run")
