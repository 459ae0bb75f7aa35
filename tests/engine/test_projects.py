"""A team's own repository on the real engine: its files are in the image, the package's fill in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import teams
from suite import ROOT, Suite, last

DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY constraints/ /constraints/
COPY sources/ /sources/
"""
PINS = "# Made by `airflow-images constraints.generate`: Airflow 3.3.2 on Python 3.11.\n"


@pytest.fixture
def team(suite: Suite, base: str, tmp_path: Path) -> Suite:
    """A team's folder, which is in no repository; only root may write there."""
    folder = teams.make(tmp_path / "team", "")
    teams.install(tmp_path)
    (folder / "Dockerfile.ci").write_text(DOCKERFILE)
    (folder / "constraints").mkdir()
    (folder / "constraints/constraints-3.11.txt").write_text(f"{PINS}apache-airflow==3.3.2\n")
    (folder / "sources").mkdir()
    (folder / "sources/mine.py").write_text("print('mine')\n")
    return suite.at(folder).having(
        PATH=f"{tmp_path}:{suite.environment['PATH']}",
        AIRFLOW_IMAGES_BASE_IMAGE=base,
        AIRFLOW_IMAGES_REPOSITORY=f"tests/{tmp_path.name}",
        PYTHONPATH=str(ROOT),
    )


def command(team: Suite, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(team.root.parent / "airflow-images"), *words],
        cwd=team.root,
        env=dict(team.environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_a_team_builds_checks_and_explains_its_own_files(team: Suite) -> None:
    selected = ("--kind", "ci", "--python", "3.11")
    built = command(team, "image.build", *selected)
    assert built.returncode == 0, built.stderr
    image = last(built.stderr).rpartition("loaded ")[2].split()[0]
    script = "cat /sources/*; ls /sources /constraints; cat /constraints/constraints-3.11.txt"
    seen = team.engine("run", "--rm", "--entrypoint", "sh", image, "-c", script)
    assert "print('mine')" in seen
    assert "dags" not in seen.split()
    assert {"mine.py", "baseline-3.11.txt", "constraints-3.12.txt"} <= {*seen.split()}
    assert seen.endswith(f"{PINS}apache-airflow==3.3.2\n")
    checked = command(team, "image.check", *selected, "--local")
    assert checked.stdout.startswith("ci-3.11-"), checked.stderr
    assert ": current" in checked.stdout
    (team.root / "sources/mine.py").write_text("print('edited')\n")
    checked = command(team, "image.check", *selected, "--local")
    assert "since changed: files (sources/mine.py)" in checked.stdout
    assert last(checked.stdout) == "  airflow-images image.build --kind ci --python 3.11"
    session = team.nox("build_ci-3.11")
    assert session.returncode == 0, session.stderr
    explained = command(team, "image.explain")
    assert "sources/mine.py" in explained.stdout, explained.stdout + explained.stderr
    assert command(team, "image.report").returncode == 0
    written = {path.name for path in team.root.iterdir()} - {"__pycache__"}
    assert written == {
        *("Dockerfile.ci", "constraints", "images.toml", "noxfile.py", "sources", "tasks.py"),
    }
