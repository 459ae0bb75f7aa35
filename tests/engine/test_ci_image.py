"""The main job: CI images, what they hold, and what a second build does not do again."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

import projects
import pytest
from suite import ROOT, Suite, last, steps

from build_tasks.constraints import constraint_files
from build_tasks.engine.state import EmbeddedEngine

AIRFLOW = {"3.9": "3.0.6", "3.11": "3.3.2", "3.13": "3.3.2"}


@dataclass(frozen=True)
class Image:
    python: str
    suite: Suite
    name: str

    def sh(self, script: str, *options: str) -> str:
        return self.suite.engine("run", "--rm", *options, self.name, "sh", "-c", script)


# The Dockerfile is the same for every Python; what differs are base and versions.
OTHERS = [pytest.param(python, marks=pytest.mark.nightly) for python in ("3.9", "3.13")]


@pytest.fixture(scope="module", params=["3.11", *OTHERS])
def image(request: pytest.FixtureRequest, suite: Suite, engine: EmbeddedEngine) -> Image:
    python: str = request.param
    done = suite.nox(f"build_ci-{python}", "--push-cache")
    assert done.returncode == 0, done.stderr[-3000:]
    repository = suite.environment["AIRFLOW_IMAGES_REPOSITORY"]
    name = f"{engine.registry}/{repository}/main/ci/python{python}:latest"
    assert f"ci-{python}-amd64: loaded {name} sha256:" in done.stderr
    return Image(python, suite, name)


def test_it_holds_what_it_says(image: Image) -> None:
    said = image.sh("airflow version; python --version; pytest --version 2>&1; id -u airflow")
    airflow, python, pytest_version, uid = said.splitlines()
    assert airflow == AIRFLOW[image.python]
    assert python.startswith(f"Python {image.python}.")
    assert pytest_version.startswith("pytest ")
    assert uid == "50000"
    assert "All installed packages are compatible" in image.sh("uv pip check 2>&1")
    assert image.sh("git --version; psql --version; mysql --version; sqlite3 --version")


def test_it_has_its_extras_alone_in_the_versions_of_the_constraints(image: Image) -> None:
    """The constraints also have what PROD's extras need."""
    installed = dict(
        line.split("==") for line in image.sh("uv pip freeze 2> /dev/null").splitlines()
    )
    pinned = dict(constraint_files.read(constraint_files.path(projects.OWN, image.python)))
    assert installed.items() <= pinned.items()
    assert {"apache-airflow-providers-celery", "pytest"} <= installed.keys()
    assert "apache-airflow-providers-google" in pinned.keys() - installed.keys()


def test_its_own_smoke_test_passes(image: Image) -> None:
    assert "2 passed" in image.sh("pytest -q -p no:cacheprovider")


@pytest.mark.parametrize("user", ["12345:0", "0:0", "50000:0"])
def test_any_user_of_group_0_can_run_it(image: Image, user: str) -> None:
    script = (
        "whoami > /dev/null && airflow version && touch $AIRFLOW_HOME/x ~/y && "
        "touch $(python -c 'import site; print(site.getsitepackages()[0])')/z"
    )
    assert image.sh(script, "--user", user).strip() == AIRFLOW[image.python]


def test_the_entrypoint_runs_what_it_is_given(image: Image) -> None:
    run = ("run", "--rm", image.name)
    assert image.suite.engine(*run, "echo", "a  b") == "a  b\n"
    assert "dumb-init" in image.suite.engine(*run, "cat", "/proc/1/cmdline")


def test_labels_say_what_it_is(image: Image) -> None:
    labels = image.suite.engine(
        *("image", "inspect", "--format"),
        '{{index .Config.Labels "org.apache.airflow.version"}} '
        '{{index .Config.Labels "org.apache.airflow.python.version"}} '
        '{{index .Config.Labels "org.opencontainers.image.revision"}}',
        image.name,
    )
    head = subprocess.run(
        ["/usr/bin/git", "-C", str(ROOT), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert labels == f"{AIRFLOW[image.python]} {image.python} {head}"


def test_no_secret_and_no_cache_is_left_in_it(image: Image) -> None:
    places = "/run/secrets /var/cache/uv /var/cache/pip /var/cache/apt /var/lib/apt/lists"
    assert image.sh(f"find {places} -type f -size +0 2> /dev/null || :") == ""


def test_the_same_command_again_runs_no_step(image: Image) -> None:
    done = image.suite.nox(f"build_ci-{image.python}", "--progress", "rawjson")
    assert done.returncode == 0
    seen = steps(done.stderr)
    assert len(seen) >= 9
    assert [step for step in seen if not step.cached] == []


def test_another_commit_build_and_date_run_no_step(image: Image) -> None:
    line = image.suite.good("image.build", "--python", image.python, "--dry-run").stdout
    changed = line.replace("COMMIT_SHA=", "COMMIT_SHA=0123").replace("CREATED=", "CREATED=1999")
    changed = changed.replace("--progress auto", "--progress rawjson --build-arg BUILD_ID=77")
    done = subprocess.run(["/bin/sh", "-c", changed], capture_output=True, text=True, check=True)
    assert [step for step in steps(done.stderr) if not step.cached] == []
    env = image.suite.engine("image", "inspect", "--format", "{{.Config.Env}}", image.name)
    assert "BUILD_ID=77" in env
    assert "COMMIT_SHA=0123" in env


def test_an_edited_source_runs_only_its_copy(
    image: Image, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if image.python != "3.11":
        pytest.skip("the Dockerfile is the same for every Python")
    project = image.suite.copy(tmp_path_factory.mktemp("edited") / "project")
    (project.root / "sources/dags/another.py").write_text("DAGS = 1\n")
    (project.root / "README.md").write_text("This is no part of the context.\n")
    done = project.good("image.build", "--python", image.python, "--progress", "rawjson")
    ran = [step.name for step in steps(done.stderr) if not step.cached]
    assert {name.removeprefix("LINK ") for name in ran} == {
        "COPY sources/ /airflow/",
        "COPY --from=tree --chown=50000:0 --chmod=775 / /opt/",
        "COPY --chown=50000:0 sources/ /opt/airflow/",
        "COPY --link --from=home /opt/ /opt/",
    }


def test_a_dry_run_is_a_line_that_makes_the_same_image(image: Image) -> None:
    image.suite.good("image.build", "--python", image.python)
    inspect = ("image", "inspect", "--format", "{{.Id}}", image.name)
    made = image.suite.engine(*inspect)
    line = image.suite.good("image.build", "--python", image.python, "--dry-run").stdout
    assert len(line.splitlines()) == 1
    image.suite.engine("image", "rm", image.name)
    subprocess.run(["/bin/sh", "-c", line], check=True, capture_output=True, cwd="/")
    assert image.suite.engine(*inspect) == made


@pytest.mark.nightly
def test_on_an_emptied_builder_the_registry_cache_spares_every_step(image: Image) -> None:
    pushed = image.suite.nox(f"build_ci-{image.python}", "--push", "--push-cache")
    assert pushed.returncode == 0, pushed.stderr[-3000:]
    assert "warning" not in pushed.stderr.rpartition("resolving provenance")[2]
    image.suite.engine("image", "rm", "--force", image.name)
    image.suite.good("cache.prune", "--all")
    again = image.suite.nox(f"build_ci-{image.python}", "--push", "--progress", "rawjson")
    assert again.returncode == 0, again.stderr[-3000:]
    seen = steps(again.stderr)
    assert len(seen) >= 9
    assert [step for step in seen if not step.cached] == []
    local = image.suite.nox(f"build_ci-{image.python}", "--cache-mode", "disabled", "--dry-run")
    assert "--no-cache" in local.stdout


@pytest.mark.parametrize("python", ["3.10", "3.12"])
def test_a_python_that_debian_never_released_is_one_line(suite: Suite, python: str) -> None:
    done = suite.invoke("image.build", "--python", python)
    assert done.returncode == 3
    assert last(done.stderr).startswith(f"no base image for Python {python}: Docker Hub is out of")
    assert "Traceback" not in done.stderr
