"""Images of a project's own: in order, on what the same run has made, whatever the driver."""

from __future__ import annotations

import itertools
import json
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import teams
from suite import PATIENCE, ROOT, Suite, last

from build_tasks.engine import emulation, stand_ins
from build_tasks.engine.state import EmbeddedEngine

SETTINGS = """\
[images.second]
from = "first"
dockerfile = "second/Dockerfile"
context = "second"

[images.first]
dags = "dags"
environment = { GREETING = "hello" }
build-script = "build.sh"
"""
PROD = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
ARG AIRFLOW_PYTHON_VERSION
ENV AIRFLOW_HOME=/opt/airflow NAME=prod-${AIRFLOW_PYTHON_VERSION}
RUN useradd --uid 50000 --gid 0 --create-home airflow && mkdir --mode 0775 /opt/airflow
COPY sources/prod /prod
USER 50000
ARG COMMIT_SHA=""
ENV COMMIT_SHA=${COMMIT_SHA}
"""
SECOND = """\
ARG AIRFLOW_IMAGE
FROM ${AIRFLOW_IMAGE}
ENV BUILD_ID="" COMMIT_SHA=""
COPY data /data
RUN cat /prod /built > /tmp/all
"""
PYTHONS = ("3.11", "3.12")
NAMES = ("prod", "first", "second")
ALL = [f"{name}-{python}-amd64" for name in NAMES for python in PYTHONS]
ONE = ("--kind", "second", "--python", "3.11")

pytestmark = pytest.mark.skipif(not emulation.native("amd64"), reason="names amd64 images")


@pytest.fixture
def team(suite: Suite, base: str, tmp_path: Path) -> Iterator[Suite]:
    """A project with two images on top of a small PROD image."""
    folder = teams.make(tmp_path / "team", SETTINGS)
    settings = folder / "images.toml"
    settings.write_text(settings.read_text().replace('["3.11"]', '["3.11", "3.12"]'))
    files = {
        "Dockerfile": PROD,
        "sources/prod": "prod\n",
        "dags/dag.py": "print('dag')\n",
        "build.sh": "echo built > /built\n",
        "second/Dockerfile": SECOND,
        "second/data": secrets.token_hex(8),  # no other test has made these steps
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    team = suite.at(folder).having(
        AIRFLOW_IMAGES_BASE_IMAGE=base,
        AIRFLOW_IMAGES_REPOSITORY=f"tests/own-{secrets.token_hex(4)}",
        PYTHONPATH=str(ROOT),
    )
    yield team
    layouts = Path(suite.environment["AIRFLOW_IMAGES_CACHE"]) / "layouts"
    assert not [*layouts.glob("*")]


def labels(team: Suite, reference: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        team.engine("image", "inspect", "--format", "{{json .Config.Labels}}", reference)
    )
    return found


def pushed(team: Suite, buildx: Suite, name: str, python: str = "3.11") -> dict[str, Any]:
    """Return what the registry has of an image."""
    command = ("imagetools", "inspect", "--builder", "default", "--format", "{{json .}}")
    said: dict[str, Any] = json.loads(buildx.engine(*command, reference(team, name, python)))
    return said


def reference(team: Suite, name: str, python: str = "3.11") -> str:
    rows = json.loads(team.good("matrix", "--json").stdout)["include"]
    image = next(row["image"] for row in rows if row["kind"] == name and row["python"] == python)
    return f"{image}:latest"


def test_a_matrix_is_pushed_in_order_and_only_what_changed_is_built(
    team: Suite, buildx: Suite
) -> None:
    kinds = ("--kind", "second,prod")
    push = (*kinds, "--push", "--push-cache")
    first = team.nox("build_all", *push)
    assert first.returncode == 0, first.stderr[-3000:]
    assert sorted(team.ran()) == sorted(ALL)
    assert all(team.ran().values()), team.ran()
    for python in PYTHONS:
        below = [pushed(team, buildx, name, python) for name in NAMES]
        for base, own in itertools.pairwise(below):
            platform = next(
                entry["digest"]
                for entry in base["manifest"]["manifests"]
                if entry["platform"]["architecture"] == "amd64"
            )
            label = own["image"]["config"]["Labels"]["org.opencontainers.image.base.digest"]
            assert label in {base["manifest"]["digest"], platform}
            layers = base["image"]["rootfs"]["diff_ids"]
            assert own["image"]["rootfs"]["diff_ids"][: len(layers)] == layers

    assert team.nox("build_all", *push).returncode == 0
    assert not any(team.ran().values()), team.ran()

    (team.root / "build.sh").write_text("echo changed > /built\n")
    assert team.nox("build_all", *push).returncode == 0
    assert {name for name, names in team.ran().items() if names} == {*ALL[2:]}

    (team.root / "sources/prod").write_text("changed\n")
    assert team.nox("build_all", *push).returncode == 0
    assert {name for name, names in team.ran().items() if names} == {*ALL}
    checked = team.good("image.check", *kinds, "--remote", "--fail").stdout
    assert checked.count(": current\n") == len(ALL)


def test_a_failing_image_leaves_what_it_stands_on(team: Suite, buildx: Suite) -> None:
    (team.root / "build.sh").write_text("echo it cannot be made >&2\nexit 7\n")
    done = team.invoke("image.push", *ONE)
    assert done.returncode == 10, done.stderr  # that of a step
    assert "second-3.11-amd64  skipped" in done.stderr
    assert "it needs first-3.11-amd64" in done.stderr
    assert pushed(team, buildx, "prod")["image"]["config"]["User"] == "50000"
    for name in ("first", "second"):
        with pytest.raises(AssertionError, match="not found"):
            pushed(team, buildx, name)


def content(team: Suite) -> str:
    words = ("run", "--rm", "--entrypoint", "cat", reference(team, "second"))
    return team.engine(*words, "/tmp/all", "/opt/airflow/dags/dag.py")


@pytest.mark.parametrize("builder", ["default", "own"])
def test_an_image_stands_on_what_the_run_has_made(team: Suite, builder: str) -> None:
    """Whatever its tag names meanwhile, and where no registry has it."""
    if builder == "own":
        team.good("builder.create", "--builder", "own")
    build = ("image.build", *ONE, "--builder", builder)
    try:
        team.good(*build)
        assert content(team) == "prod\nbuilt\nprint('dag')\n"
        own = labels(team, reference(team, "second"))
        below = team.engine("image", "inspect", "--format", "{{.Id}}", reference(team, "first"))
        assert own["org.opencontainers.image.base.digest"] == below.strip()
        team.engine("tag", reference(team, "second"), reference(team, "prod"))
        (team.root / "second/data").write_text("changed")
        team.good(*build)
        assert team.ran()["first-3.11-amd64"] == []
        assert len(team.ran()["second-3.11-amd64"]) == 2
        team.good("cache.push", *ONE, "--builder", builder)
        assert not any(team.ran().values())
    finally:
        if builder == "own":
            team.good("builder.remove", "--builder", "own")


def test_a_bake_file_builds_each_image_on_the_one_below(team: Suite, tmp_path: Path) -> None:
    team.good("image.build", *ONE)
    (team.root / "sources/prod").write_text("changed\n")
    plan = team.good("bake", *ONE)
    baked = subprocess.run(
        shlex.split(last(plan.stderr).rpartition(" < ")[0]),
        input=plan.stdout,
        cwd=tmp_path,
        env=dict(team.environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert baked.returncode == 0, baked.stderr[-3000:]
    assert content(team).startswith("changed\n")


def test_an_image_is_out_of_date_when_what_it_stands_on_is(team: Suite) -> None:
    team.good("image.build", *ONE)
    check = ("image.check", "--kind", "second", "--python", "3.11", "--local")
    assert team.good(*check).stdout.count(": current\n") == 3
    (team.root / "sources/prod").write_text("changed\n")
    said = team.good(*check).stdout
    assert said.count(": out of date\n") == 3
    assert "since changed: base (prod-3.11-amd64 changed)" in said
    team.good("image.build", "--kind", "prod", "--python", "3.11")
    said = team.good(*check).stdout
    assert "prod-3.11-amd64: current" in said
    assert said.count(": out of date\n") == 2
    team.good("image.build", *ONE)
    assert team.good(*check).stdout.count(": current\n") == 3


def test_another_commit_repeats_no_step(team: Suite) -> None:
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")
    for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "-m", "1")):
        subprocess.run([*git, *command], cwd=team.root, check=True)
    team.good("image.build", *ONE)
    before = labels(team, reference(team, "second"))["org.opencontainers.image.revision"]
    subprocess.run(
        [*git, "commit", "--quiet", "--allow-empty", "-m", "2"], cwd=team.root, check=True
    )
    team.good("image.build", *ONE)
    assert not any(team.ran().values()), team.ran()
    assert labels(team, reference(team, "second"))["org.opencontainers.image.revision"] != before


@pytest.mark.nightly
def test_images_of_two_platforms_are_pushed_and_merged(
    team: Suite, buildx: Suite, engine: EmbeddedEngine
) -> None:
    team.good("engine.start", "--emulate", "arm64")
    base = stand_ins.ensure_python(engine, "3.11", ["amd64", "arm64"], print)
    team = team.having(AIRFLOW_IMAGES_BASE_IMAGE=base)
    both = ("--platform", "linux/amd64,linux/arm64")
    push = ("image.push", *ONE, *both, "--push-cache")
    team.good(*push)
    for name in NAMES:
        found = {
            entry["platform"]["architecture"]
            for entry in pushed(team, buildx, name)["manifest"]["manifests"]
        }
        assert found - {"unknown"} == {"amd64", "arm64"}
    team.good(*push)
    assert not any(team.ran().values())
    (team.root / "second/data").write_text("changed")
    team.good("image.build", *ONE, *both)
    assert {name for name, names in team.ran().items() if names} == {
        "second-3.11-amd64",
        "second-3.11-arm64",
    }
