"""Any Dockerfile in the place of Airflow's: one with other arguments, and one without Airflow."""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path

import pytest
import teams
from suite import ROOT, Suite, last

#: As Airflow's own Dockerfile has it: stages, and arguments with other names than the suite's.
STAGES = """\
ARG PYTHON_BASE_IMAGE="no.example/python:3"
FROM ${{PYTHON_BASE_IMAGE}} AS airflow-build-image
ARG ADDITIONAL_PYTHON_DEPS=""
ARG INSTALL_DISTRIBUTIONS=""
COPY scripts/install /install
RUN sh /install "${{INSTALL_DISTRIBUTIONS}}"
FROM ${{PYTHON_BASE_IMAGE}} AS main
ARG AIRFLOW_UID="50000"
COPY --from=airflow-build-image /installed /installed
USER ${{AIRFLOW_UID}}
ARG COMMIT_SHA
ENV COMMIT_SHA=${{COMMIT_SHA}}
FROM main AS never-built
COPY of-nothing /
"""
#: Without Airflow, and without any argument of the suite.
FOREIGN = """\
FROM {base}
ARG NB_USER=jovyan
RUN useradd --create-home "${{NB_USER}}"
COPY start.sh /usr/local/bin/
"""
SETTINGS = """\
[build]
arguments = {{ INSTALL_DISTRIBUTIONS = "one two", PYTHON_BASE_IMAGE = "{base}" }}
[prod]
dockerfile = "docker/Airflow.Dockerfile"
target = "main"
context = "{elsewhere}"
[ci]
dockerfile = "foreign/Dockerfile"
context = "foreign"
"""
GIT = ("git",)
ONE = ("--kind", "ci", "--python", "3.11")
PROD = ("--kind", "prod", "--python", "3.11")


@pytest.fixture
def team(suite: Suite, base: str, tmp_path: Path) -> Suite:
    """A project with two Dockerfiles, of which one has its build context elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    folder = teams.make(tmp_path / "team", SETTINGS.format(elsewhere=elsewhere, base=base))
    marker = secrets.token_hex(8)  # no other test has made these steps
    for path, text in {
        elsewhere / "scripts/install": f"echo {marker} $1 > /installed\n",
        elsewhere / "secret": "not for the build\n",
        folder / "docker/Airflow.Dockerfile": STAGES.format(),
        folder / "docker/Airflow.Dockerfile.dockerignore": "secret\n",
        folder / "foreign/Dockerfile": FOREIGN.format(base=base),
        folder / "foreign/.dockerignore": "*.md\n",
        folder / "foreign/start.sh": f"echo {marker}\n",
        folder / "foreign/README.md": "one\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    repository = f"tests/other-{secrets.token_hex(4)}"
    return suite.at(folder).having(AIRFLOW_IMAGES_REPOSITORY=repository, PYTHONPATH=str(ROOT))


def image(team: Suite, name: str) -> str:
    rows = json.loads(team.good("matrix", "--json").stdout)["include"]
    return next(f"{row['image']}:latest" for row in rows if row["identity"].startswith(name))


def test_stages_arguments_and_a_context_elsewhere(team: Suite, base: str, tmp_path: Path) -> None:
    team.good("image.build", *PROD)
    words = ("run", "--rm", "--entrypoint", "cat", image(team, "prod"), "/installed")
    assert team.engine(*words).endswith(" one two\n")
    shown = team.good("image.build", *PROD, "--dry-run").stdout
    assert "--target main" in shown
    assert "INSTALL_DISTRIBUTIONS=one two" in shown
    for name in ("BASE_IMAGE", "AIRFLOW_VERSION", "AIRFLOW_CONSTRAINTS"):
        assert f"--build-arg {name}" not in shown
    check = ("image.check", *PROD, "--local")
    assert ": current\n" in team.good(*check).stdout
    (tmp_path / "elsewhere/secret").write_text("changed")
    assert ": current\n" in team.good(*check).stdout
    (tmp_path / "elsewhere/scripts/install").write_text("echo again > /installed\n")
    assert "files (scripts/install)" in team.good(*check).stdout
    team.good("image.build", *PROD)
    assert "file scripts/install: changed" in team.good("image.explain").stdout
    labels = json.loads(
        team.engine("image", "inspect", "--format", "{{json .Config.Labels}}", image(team, "prod"))
    )
    assert "org.apache.airflow.version" not in labels
    assert labels["org.apache.airflow.image"] == "airflow"
    assert labels["org.opencontainers.image.base.name"] == base


def test_an_image_without_airflow_is_built_checked_explained_and_pushed(
    team: Suite, buildx: Suite, base: str
) -> None:
    pushed = team.good("image.push", *ONE, "--push-cache").stderr
    assert ": wrote" in pushed or "pushed" in last(pushed)
    check = ("image.check", *ONE, "--remote", "--fail")
    assert ": current\n" in team.good(*check).stdout
    command = ("imagetools", "inspect", "--builder", "default", "--format", "{{json .}}")
    found = json.loads(buildx.engine(*command, image(team, "ci")))
    assert found["image"]["config"]["Labels"]["org.opencontainers.image.base.name"] == base
    (team.root / "foreign/README.md").write_text("two\n")
    assert ": current\n" in team.good(*check).stdout
    (team.root / "foreign/start.sh").write_text("echo changed\n")
    stale = team.invoke(*check)
    assert stale.returncode == 13
    assert "files (start.sh)" in stale.stdout
    team.good("image.push", *ONE)
    assert "file start.sh: changed" in team.good("image.explain").stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPY ../secret /", "line 5: ../secret is outside of the build context "),
        ("COPY missing /", "line 5: nothing of missing enters the build: it does not exist"),
        ("COPY README.md /", "line 5: nothing of README.md enters the build: its files are not"),
    ],
)
def test_a_file_that_is_not_in_the_context_is_one_line(
    team: Suite, line: str, message: str
) -> None:
    with (team.root / "foreign/Dockerfile").open("a") as file:
        file.write(f"{line}\n")
    done = team.invoke("image.build", *ONE)
    assert done.returncode == 2
    assert message in last(done.stderr)
    assert "building" not in done.stderr


def test_the_context_may_be_another_checkout(team: Suite, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for command in (("init", "--quiet"), ("add", "scripts")):
        subprocess.run([*GIT, *command], cwd=elsewhere, check=True)
    (elsewhere / "scripts/new").write_text("untracked")
    said = team.good("image.build", *PROD).stderr
    assert "1 untracked file of " in said
