"""Whether images are current, on real images; and the hook under a real pre-commit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from suite import Suite, last, steps

from build_tasks.engine.state import EmbeddedEngine

DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS main
ARG AIRFLOW_PYTHON_VERSION
RUN --mount=type=bind,source=constraints/constraints-${AIRFLOW_PYTHON_VERSION}.txt,target=/c cat /c
# sources last
COPY sources/ /opt/airflow/
ARG COMMIT_SHA=""
ENV COMMIT_SHA=${COMMIT_SHA}
"""
SELECTED = ("--kind", "ci", "--python", "3.11")
CHECK = ("image.check", *SELECTED)


@pytest.fixture
def move(engine: EmbeddedEngine, base: str, tmp_path: Path) -> Callable[[str], str]:
    """Push another base image under the same name, and return the name."""
    reference = f"{engine.registry}/tests/base-{tmp_path.name}:1"

    def push(content: str) -> str:
        folder = tmp_path / "base"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY <<EOF /v\n{content}\nEOF\n")
        command = (str(engine.buildx), "build", "--push", "--tag", reference, str(folder))
        subprocess.run(command, env=engine.environment, check=True, capture_output=True)
        return reference

    return push


@pytest.fixture
def small(project: Suite, move: Callable[[str], str], tmp_path: Path) -> Suite:
    """A checkout whose CI image is made in a second, with a base image of its own."""
    (project.root / "Dockerfile.ci").write_text(DOCKERFILE)
    return project.having(
        AIRFLOW_IMAGES_BASE_IMAGE=move("1"), AIRFLOW_IMAGES_REPOSITORY=f"tests/{tmp_path.name}"
    )


def verdict(suite: Suite, *options: str) -> str:
    done = suite.good(*CHECK, *options)
    return done.stdout.splitlines()[0].partition(": ")[2] + "".join(
        f"; {line.partition(', since ')[2]}"
        for line in done.stdout.splitlines()
        if ", since " in line
    )


def test_each_change_gets_the_right_answer(small: Suite, move: Callable[[str], str]) -> None:
    assert verdict(small).startswith("out of date")
    small.good("image.build", *SELECTED)
    assert verdict(small, "--local") == "current"
    assert verdict(small, "--remote").startswith("out of date")
    small.good("image.push", *SELECTED)
    assert verdict(small, "--remote") == "current"

    dockerfile = small.root / "Dockerfile.ci"
    dockerfile.write_text(DOCKERFILE.replace("# sources last", "# another comment\n\n# of two"))
    assert verdict(small) == "current"
    for path in (small.root / "sources").rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)
    assert verdict(small) == "current"
    other = small.root / "constraints/constraints-3.12.txt"
    other.write_text(f"{other.read_text()}# not of this image\n")
    assert verdict(small) == "current"

    source = small.root / "sources/dags/smoke.py"
    text = source.read_text()
    source.write_text(f"{text}\n# edited\n")
    assert verdict(small, "--remote") == ("out of date; changed: files (sources/dags/smoke.py)")
    source.write_text(text)
    assert verdict(small) == "current"
    move("2")
    assert verdict(small) == "out of date; changed: base (moved); changed: base (moved)"
    small.good("image.build", *SELECTED)
    assert verdict(small, "--local") == "current"
    failed = small.invoke(*CHECK, "--remote", "--fail")
    assert (failed.returncode, last(failed.stderr)) == (13, "out of date: ci-3.11-amd64")


def test_an_unchanged_image_is_tagged_and_not_built(small: Suite) -> None:
    push = ("image.push", *SELECTED, "--skip-unchanged")
    first = small.good(*push)
    assert "unchanged, tagged" not in first.stderr
    digest = last(first.stderr).rpartition(" ")[2]
    assert digest.startswith("sha256:")
    again = small.good(*push, "--tag", "next,also")
    assert ": building and pushing " not in again.stderr
    said = last(again.stderr)
    assert "unchanged, tagged " in said
    assert said.endswith(digest)
    assert verdict(small, "--remote", "--tag", "also") == "current"
    (small.root / "sources/dags/smoke.py").write_text("edited = True\n")
    changed = small.good(*push, "--tag", "next")
    assert ": building and pushing " in changed.stderr
    assert not last(changed.stderr).endswith(digest)


def test_source_date_epoch_dates_the_image_and_repeats_no_step(small: Suite) -> None:
    small.good("image.build", *SELECTED)
    line = small.good("image.build", *SELECTED, "--dry-run").stdout.split()
    image = line[line.index("--tag") + 1]
    for epoch, created in (
        ("1700000000", "2023-11-14T22:13:20Z"),
        ("1700000001", "2023-11-14T22:13:21Z"),
    ):
        dated = small.having(SOURCE_DATE_EPOCH=epoch)
        done = dated.good("image.build", *SELECTED, "--progress", "rawjson")
        made = steps(done.stderr)
        assert len(made) == 2
        assert all(step.cached for step in made)
        assert small.engine("image", "inspect", "--format", "{{.Created}}", image) == f"{created}\n"


def git(folder: Path, *words: str) -> None:
    own = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    own |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    command = ("git", *who, "-C", str(folder), *words)
    subprocess.run(command, env=own, check=True, capture_output=True)


def test_pre_commit_advises_in_another_repository(project: Suite, tmp_path: Path) -> None:
    for folder in (project.root, tmp_path / "team"):
        folder.mkdir(exist_ok=True)
        git(folder, "init", "--quiet")
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "all")
    team = tmp_path / "team"
    (team / "images.toml").write_text('pythons = ["3.11"]\nrepository = "tests/team"\n')
    config = team / ".pre-commit-config.yaml"

    def hook(arguments: str) -> subprocess.CompletedProcess[str]:
        config.write_text(
            f"repos:\n- repo: {project.root}\n  rev: HEAD\n  hooks:\n"
            f"  - id: airflow-images-check\n    args: [{arguments}]\n"
        )
        git(team, "add", "--all")
        return subprocess.run(
            [sys.executable, "-m", "pre_commit", "run", "--all-files", "--color", "never"],
            cwd=team,
            env={**project.environment, "PRE_COMMIT_HOME": str(tmp_path / "pre-commit")},
            capture_output=True,
            text=True,
            check=False,
        )

    done = hook("--kind, ci")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "check whether Airflow images are up to date" in done.stdout
    assert "ci-3.11-amd64: out of date" in done.stdout
    assert "  airflow-images image.build --kind ci --python 3.11\n" in done.stdout
    installed = (tmp_path / "pre-commit").glob(
        "repo*/py_env-*/lib/python*/site-packages/*.dist-info"
    )
    names = {path.name.partition("-")[0] for path in installed}
    assert names - {"pip", "setuptools", "wheel"} == {"airflow_images", "packaging", "platformdirs"}
    failed = hook("--kind, ci, --fail")
    assert failed.returncode == 1
    assert "- exit code: 13" in failed.stdout
