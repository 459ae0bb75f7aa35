"""Checks of a project's own, and what is missing at run time, on a small image without Airflow."""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path

import archives
import pytest
import teams
from suite import ROOT, Suite, last

DOCKERFILE = """\
FROM {base}
RUN useradd --uid 50000 --gid 0 --create-home airflow
ENV GREETING=hello
USER 50000
"""
NO_LIBRARY = """\
USER 0
RUN ldconfig -p | awk '/libffi/ {print $NF}' | xargs rm
USER 50000
"""
#: The base image has no installer of packages; they go to the home, as with `pip install --user`.
PIP = """\
COPY installer /opt/installer
ENV PYTHONPATH=/opt/installer PIP_BREAK_SYSTEM_PACKAGES=1
"""
CHECKS = """\
def test_greeting(run):
    assert run("bash", "-c", "echo $GREETING") == "hello"


def test_python(python, image):
    assert python("print(6 * 7)") == "42"
    assert image.labels["org.apache.airflow.image"] == "airflow-ci"
"""
VERIFY = ("image.verify", "--kind", "ci", "--python", "3.11")


@pytest.fixture
def team(suite: Suite, base: str, tmp_path: Path) -> Suite:
    settings = '[ci]\ndockerfile = "Dockerfile.other"\nchecks = "checks/test_own.py"\n'
    folder = teams.make(tmp_path / "team", settings)
    (folder / "Dockerfile.other").write_text(DOCKERFILE.format(base=base))
    (folder / "checks").mkdir()
    (folder / "checks/test_own.py").write_text(CHECKS)
    repository = f"tests/checks-{secrets.token_hex(4)}"
    return suite.at(folder).having(AIRFLOW_IMAGES_REPOSITORY=repository, PYTHONPATH=str(ROOT))


def build(team: Suite) -> None:
    team.good("image.build", "--kind", "ci", "--python", "3.11")


def test_own_checks_run_after_the_suites_and_are_reported_like_them(team: Suite) -> None:
    build(team)
    done = team.good(*VERIFY, "--json", "--junit", "checks.xml")
    checks = {one["check"]: one["outcome"] for one in json.loads(done.stdout)["checks"]}
    own = ["test_greeting", "test_python"]
    assert [*checks][-2:] == own
    assert {checks[name] for name in own} == {"passed"}
    assert "failed" not in checks.values()
    junit = (team.root / "checks.xml").read_text()
    assert all(f'name="{name}"' in junit for name in ("test_greeting", "test_python"))
    assert not [*team.root.rglob("__pycache__")]
    (team.root / "checks/test_own.py").write_text(CHECKS.replace('"hello"', '"goodbye"'))
    failed = team.invoke(*VERIFY)
    assert failed.returncode == 11
    assert "1 of " in last(failed.stderr)
    assert "test_greeting" in last(failed.stderr)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "images.toml: ci.checks: "),
        ("def test_x(:\n", "test_own.py:1: "),
        ("x = 1\n", "has no check: expected functions named test_..."),
        ("import no_such_module\n", "No module named 'no_such_module'"),
    ],
)
def test_a_file_without_checks_is_one_line(team: Suite, content: str | None, message: str) -> None:
    build(team)
    file = team.root / "checks/test_own.py"
    file.unlink() if content is None else file.write_text(content)
    done = team.invoke(*VERIFY)
    assert done.returncode == 2, done.stderr
    assert message in last(done.stderr)
    assert "Traceback" not in done.stderr


def test_a_library_that_is_missing_is_found(team: Suite) -> None:
    with (team.root / "Dockerfile.other").open("a") as file:
        file.write(NO_LIBRARY)
    build(team)
    done = team.invoke(*VERIFY, "--select", "shared_object")
    assert done.returncode == 11, done.stderr
    assert "libffi.so" in last(done.stderr)


def test_an_additional_package_that_cannot_be_imported_is_named(team: Suite) -> None:
    pip = Path(pytest.importorskip("pip").__file__).parent
    shutil.copytree(pip, team.root / "installer/pip", ignore=shutil.ignore_patterns("*.pyc"))
    with (team.root / "Dockerfile.other").open("a") as file:
        file.write(PIP)
    folder = team.root / "wheelhouse"
    archives.wheel(folder / "good-1.0-py3-none-any.whl", files={"good.py": "x = 1\n"})
    archives.wheel(folder / "bad-1.0-py3-none-any.whl", files={"bad/__init__.py": "import gone\n"})
    own = '[images.tools]\nfrom = "ci"\npython = ["good", "bad"]\n'
    index = '[index]\nfind-links = ["wheelhouse"]\noffline = true\n'
    settings = team.root / "images.toml"
    settings.write_text(f"{settings.read_text()}{index}{own}")
    tools = ("--kind", "tools", "--python", "3.11")
    team.good("image.build", *tools)
    done = team.invoke("image.verify", "tools-3.11", "--json", "--select", "additional")
    assert done.returncode == 11, done.stderr
    (check,) = json.loads(done.stdout)["checks"]
    assert check["message"].splitlines() == [
        "1 of 2 additional packages cannot be imported:",
        "  bad (import bad): ModuleNotFoundError: No module named 'gone'",
    ]


def test_an_own_image_is_saved_and_loaded_by_its_name(team: Suite) -> None:
    settings = team.root / "images.toml"
    own = '[images.tools]\nfrom = "ci"\nenvironment = { GREETING = "hi" }\n'
    settings.write_text(settings.read_text() + own)
    tools = ("--kind", "tools", "--python", "3.11")
    team.good("image.build", *tools)
    saved = team.good("image.save", *tools)
    (file,) = team.root.glob("tools-3.11-*.tar.zst")
    assert file.name in last(saved.stderr)
    done = team.invoke("image.load", file.name, "--kind", "ci")
    assert done.returncode == 2, done.stderr
    assert last(done.stderr).endswith(f"{file.name}: is for kind tools, not ci")
    assert "loaded" in last(team.good("image.load", file.name, *tools).stderr)
