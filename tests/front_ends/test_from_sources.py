"""Constraints of a checkout, with the real uv and a folder of packages, without a network."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from archives import wheel
from checkouts import write
from fake_docker import Bench, last

CHECKOUT = {
    "pyproject.toml": """\
        [project]
        name = "apache-airflow"
        version = "9.9.9"
        requires-python = ">=3.11"
        dependencies = ["apache-airflow-core==9.9.9"]
        [project.optional-dependencies]
        celery = ["apache-airflow-providers-celery"]
        [tool.uv.workspace]
        members = ["airflow-core", "task-sdk", "providers/celery", "providers/absent"]
        [tool.uv.sources]
        apache-airflow-core = { workspace = true }
        """,
    "airflow-core/pyproject.toml": """\
        [project]
        name = "apache-airflow-core"
        version = "9.9.9"
        dependencies = ["apache-airflow-task-sdk", "web<3"]
        [dependency-groups]
        dev = ["tester>=8", "apache-airflow-providers-celery", "apache-airflow-providers-absent"]
        """,
    "task-sdk/pyproject.toml": """\
        [project]
        name = "apache-airflow-task-sdk"
        version = "1.9.9"
        dependencies = ["apache-airflow-core>=9", "sdk-lib<2"]
        """,
    "providers/celery/pyproject.toml": """\
        [project]
        name = "apache-airflow-providers-celery"
        version = "4.0"
        dependencies = ["apache-airflow>=9", "queue-lib", "marked; python_version < '3.11'"]
        """,
}
PINS = """\
# Made by `airflow-images constraints.generate`: Airflow 9.9.8 on Python 3.11.
apache-airflow==9.9.8
queue-lib==1
sdk-lib==2
unused==1
web==1
"""
COMMAND = ("constraints.generate", "--from-sources")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the index has: the core and the provider, but neither the root nor the task SDK."""
    folder = tmp_path_factory.mktemp("packages")
    for name, *requires in (
        ("apache_airflow_core-9.9.9", "wrong"),  # the checkout's own metadata counts
        ("apache_airflow_providers_celery-4.0",),
        ("apache_airflow_providers_absent-1", "apache-airflow"),
        *(("sdk_lib-1",), ("sdk_lib-2",), ("web-1",), ("web-2",), ("web-3",)),
        *(("queue_lib-1", "wire<2"), ("queue_lib-2", "wire>1"), ("wire-1",), ("wire-2",)),
        *(("tester-8",), ("unused-1",), ("uv-0.9.18",)),
    ):
        wheel(folder / f"{name}-py3-none-any.whl", requires=requires)
    return folder


@pytest.fixture
def team(bench: Bench, packages: Path) -> Bench:
    """A project with constraints, beside a checkout."""
    root = bench.folder / "team"
    settings = f"""\
        pythons = ["3.11"]
        [airflow]
        extras = ["celery"]
        [ci]
        from = "../checkout"
        test-packages = []
        [constraints]
        limits = []
        [index]
        find-links = ["{packages}"]
        offline = true
        """
    write(root, {"images.toml": settings, "constraints/constraints-3.11.txt": PINS})
    for name in ("noxfile.py", "tasks.py"):
        (root / name).write_text((bench.root / name).read_text())
    write(bench.folder / "checkout", CHECKOUT)
    return replace(bench, root=root)


def pins(team: Bench, mode: str) -> list[str]:
    return (team.root / f"constraints/{mode}-3.11.txt").read_text().splitlines()[2:]


def change(team: Bench, name: str, old: str, new: str) -> None:
    file = team.folder / "checkout" / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_constraints_come_from_the_checkout_and_are_explained(team: Bench) -> None:
    done = team.invoke(*COMMAND)
    assert done.returncode == 0, done.stderr
    others = ["queue-lib==1", "sdk-lib==1", "tester==8", "web==1", "wire==1"]
    released = ["apache-airflow==9.9.9", "apache-airflow-core==9.9.9"]
    absent, celery = (f"apache-airflow-providers-{name}" for name in ("absent==1", "celery==4.0"))
    assert pins(team, "constraints") == [*released, absent, celery, *others]
    assert pins(team, "constraints-no-providers") == [*released, "sdk-lib==1", "web==1"]
    assert pins(team, "constraints-source-providers") == [absent, *others]
    for mode in ("baseline", "baseline-ci"):
        assert "wire==1  # 1000000" in pins(team, mode)
    assert done.stdout.splitlines() == [
        "  apache-airflow 9.9.8 -> 9.9.9: pyproject.toml has 9.9.9",
        "+ apache-airflow-core 9.9.9: airflow-core/pyproject.toml has 9.9.9",
        "+ apache-airflow-providers-absent 1: airflow-core/pyproject.toml: dependency-groups.dev "
        "wants apache-airflow-providers-absent",
        "+ apache-airflow-providers-celery 4.0: providers/celery/pyproject.toml has 4.0",
        "  sdk-lib 2 -> 1: task-sdk/pyproject.toml: dependencies wants sdk-lib<2",
        "+ tester 8: airflow-core/pyproject.toml: dependency-groups.dev wants tester>=8",
        "- unused 1: nothing wants it",
        "+ wire 1: wanted by queue-lib 1",
    ]
    assert done.stderr.startswith("warning: images.toml: ci.from: ")
    assert "1 member that is not there, providers/absent: " in done.stderr

    change(team, "providers/celery/pyproject.toml", "queue-lib", "queue-lib>1")
    done = team.nox("constraints-3.11", "--from-sources", "--json")
    assert done.returncode == 0, done.stderr
    place = "providers/celery/pyproject.toml: dependencies"
    assert [tuple(change.values()) for change in json.loads(done.stdout)] == [
        ("3.11", "queue-lib", "1", "2", f"{place} wants queue-lib>1"),
        ("3.11", "wire", "1", "2", "queue-lib 2 wants wire>1"),
    ]
    done = team.invoke(*COMMAND, "--upgrade")
    assert done.stdout == "  web 1 -> 2: airflow-core/pyproject.toml: dependencies wants web<3\n"


def test_images_of_the_checkout_follow_its_constraints(team: Bench) -> None:
    file = team.root / "constraints/constraints-source-providers-3.11.txt"
    file.write_text(PINS)
    ci = ("image.build", "--python", "3.11", "--dry-run")
    done = team.invoke(*ci)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if " is not used: " in line)
    place = "task-sdk/pyproject.toml: dependencies"
    assert f"sdk-lib==2 is not used: {place} wants sdk-lib<2: run: invoke constr" in line
    words = line.partition("run: invoke ")[2].split()
    assert team.invoke(*words).returncode == 0
    done = team.invoke(*ci)
    assert (done.returncode, " is not used: " in done.stderr) == (0, False)

    prod = ("image.build", "--kind", "prod", "--python", "3.11", "--dry-run")
    done = team.invoke(*prod, "--airflow-from", "../checkout")
    assert done.returncode == 0, done.stderr
    done = team.invoke(*prod)
    assert done.returncode == 2
    assert "constraints/constraints-3.11.txt: has Airflow 9.9.9, not 3.3.2: run: " in done.stderr


def test_a_git_reference_is_resolved(team: Bench) -> None:
    repository = team.folder / "checkout"
    for words in (
        ("init", "--quiet"),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "a"),
        ("tag", "v1"),
    ):
        subprocess.run(["/usr/bin/git", "-C", repository, *words], check=True)
    change(team, "task-sdk/pyproject.toml", "sdk-lib<2", "sdk-lib")
    done = team.invoke(*COMMAND, "--ci-from", f"git+file://{repository}@v1")
    assert done.returncode == 0, done.stderr
    assert "sdk-lib==1" in pins(team, "constraints")


def test_requirements_that_exclude_each_other_are_named(team: Bench) -> None:
    change(team, "task-sdk/pyproject.toml", "sdk-lib<2", "web>=3")
    done = team.invoke(*COMMAND)
    assert done.returncode == 8
    line = last(done.stderr)
    assert line.startswith("constraints-3.11: error: No solution found")
    assert line.endswith(
        "(airflow-core/pyproject.toml: dependencies wants web<3; "
        "task-sdk/pyproject.toml: dependencies wants web>=3)"
    )
    assert (team.root / "constraints/constraints-3.11.txt").read_text() == PINS


def test_a_build_backend_that_fails_is_one_line(team: Bench) -> None:
    backend = """\
        [build-system]
        requires = []
        build-backend = "none"
        [project]
        name = "apache-airflow-task-sdk"
        dynamic = ["version"]
        """
    write(team.folder / "checkout", {"task-sdk/pyproject.toml": backend})
    done = team.invoke(*COMMAND)
    assert done.returncode == 8
    folder = (team.folder / "checkout").as_uri()
    assert f"Failed to build `apache-airflow-task-sdk @ {folder}/task-sdk`" in last(done.stderr)
    assert "Traceback" not in done.stderr.partition("ModuleNotFoundError")[2]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--ci-from", "release"), 2, "--from-sources: ci.from is release: set it to a folder of"),
        (("--ci-from", "/none"), 2, "--ci-from: there is no folder '/none': choose release, a "),
        (("--ci-extras", "celry"), 2, "--ci-extras: Airflow 9.9.9 has no extra 'celry': did you"),
    ],
)
def test_a_mistake_is_one_line(
    team: Bench, options: tuple[str, ...], code: int, message: str
) -> None:
    done = team.invoke(*COMMAND, *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('distributions = ["task-sdkk"]', "ci.distributions: unknown distribution 'task-sdkk'"),
        ('groups = ["devv"]', "ci.groups: unknown dependency group 'devv': did you mean dev?"),
    ],
)
def test_an_unknown_name_is_one_line(team: Bench, setting: str, message: str) -> None:
    file = team.root / "images.toml"
    file.write_text(file.read_text().replace("[ci]", f"[ci]\n{setting}"))
    done = team.invoke(*COMMAND)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_python_that_the_checkout_does_not_support_is_one_line(team: Bench) -> None:
    change(team, "pyproject.toml", ">=3.11", ">=3.12")
    done = team.invoke(*COMMAND)
    assert (done.returncode, done.stdout) == (2, "")
    assert last(done.stderr).endswith(
        "apache-airflow is for Python >=3.12, not 3.11 (pyproject.toml: requires-python)"
    )
