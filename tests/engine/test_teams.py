"""A team's own repository, from an empty folder to a pushed image, as docs/teams.md says."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import wheels
from suite import PATIENCE, Suite, last

from build_tasks.engine import apt, stand_ins
from build_tasks.engine.state import EmbeddedEngine

DOCS = Path(__file__).resolve().parents[2] / "docs" / "teams.md"
#: What `init` writes, and what programs keep beside it.
FILES = {
    *("images.toml", "images.schema.json", "noxfile.py", "tasks.py"),
    *(".dockerignore", ".gitattributes", ".git", ".venv", ".nox", "__pycache__"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("dist"))


@dataclass(frozen=True)
class Team:
    """A folder in which the first commands of docs/teams.md were run."""

    folder: Path
    home: Path
    environment: Mapping[str, str]
    output: str

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line in the shell that the documented commands activated."""
        return subprocess.run(
            ["/bin/bash", "-c", f"set -e; [ ! -e .venv ] || . .venv/bin/activate\n{line}"],
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def good(self, line: str) -> subprocess.CompletedProcess[str]:
        done = self.run(line)
        assert done.returncode == 0, f"{line}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
        return done


def documented() -> list[tuple[str, str]]:
    """Return the commands of the first section, each with the output beside it."""
    section = DOCS.read_text(encoding="utf-8").split("\n## ")[1]
    blocks = re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.MULTILINE)
    return [(command, output) for command, output in steps]


VERIFY = "airflow-images image.verify prod-3.11"


@pytest.fixture(scope="module")
def team(suite: Suite, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Run each documented command but the verification, in an empty folder; compare the output."""
    parent = tmp_path_factory.mktemp("team")
    folder, home = parent / "folder", parent / "home"
    folder.mkdir()
    home.mkdir()
    own = {name: text for name, text in suite.environment.items() if name != "NOX_SCRIPT_MODE"}
    del own["AIRFLOW_IMAGES_REPOSITORY"], own["AIRFLOW_IMAGES_CACHE_BRANCH"]  # as people have it
    own |= {
        "HOME": str(home),
        "PIP_CACHE_DIR": str(parent / "pip"),
        "UV_CACHE_DIR": str(parent / "uv"),
        "PIP_FIND_LINKS": f"{wheel.parent} {own.get('PIP_FIND_LINKS', '')}".strip(),
    }
    team = Team(folder, home, own, "")
    shown = []
    for command, output in documented():
        if command == VERIFY:
            continue
        done = team.good(command)
        shown += [done.stdout, done.stderr]
        assert done.stdout.startswith(output), (command, done.stdout)
        if command.endswith(" init"):  # "Set `repository`"
            file = folder / "images.toml"
            name = f"tests/team-{secrets.token_hex(4)}"
            file.write_text(file.read_text().replace("my-team/airflow", name))
    return Team(folder, home, own, "".join(shown))


def test_the_documented_commands_lead_to_a_pushed_image(team: Team) -> None:
    commands = [command for command, _ in documented()]
    assert {"airflow-images init", VERIFY} < {*commands}
    assert any(" image.push " in command for command in commands)
    names = r"\S+/main/prod/python3\.11:3\.3\.2, \S+/main/prod/python3\.11:latest"
    assert re.search(rf"prod-3\.11-amd64: pushed {names} sha256:", team.output)


@pytest.mark.nightly
def test_the_documented_verification_passes(team: Team) -> None:
    done = team.good(VERIFY)
    assert done.stdout.startswith(dict(documented())[VERIFY])
    assert re.search(r": passed \d\d checks(, skipped \d+)?$", done.stderr.strip())


def test_each_front_end_does_the_same(team: Team) -> None:
    for command in (
        "nox -s build_prod-3.11",
        "invoke image.build --kind prod --python 3.11",
        "airflow-images image.build --kind prod --python 3.11",
    ):
        team.good(command)
        explained = team.good("airflow-images image.explain")
        assert last(explained.stderr) == "all steps were cached"
    report = team.good("airflow-images image.report --output report.html")
    assert "wrote report.html: " in report.stderr
    (team.folder / "report.html").unlink()


def test_a_changed_setting_is_found_and_the_command_that_is_shown_builds_it(team: Team) -> None:
    file = team.folder / "images.toml"
    text = file.read_text()
    for program in ("airflow-images image.check", "airflow-images-check"):
        check = f"{program} --kind prod --local"
        file.write_text(text.replace("apt-runtime = []", 'apt-runtime = ["tree"]'))
        found = team.good(check)
        assert found.stdout.startswith("prod-3.11-amd64: out of date\n")
        assert "arguments" in found.stdout
        team.good(last(found.stdout))
        assert team.good(check).stdout.splitlines()[0] == "prod-3.11-amd64: current"
        file.write_text(text)
        team.good("airflow-images image.build --kind prod --python 3.11")


@pytest.mark.nightly
def test_the_images_own_constraints_are_written_beside_the_settings(team: Team) -> None:
    requirements = team.folder / "requirements.txt"
    requirements.write_text("# for all images\ncowsay>=6\n")
    team.good("airflow-images constraints.generate --python 3.11")
    pins = (team.folder / "constraints" / "constraints-3.11.txt").read_text()
    assert re.search(r"^cowsay==", pins, re.MULTILINE)
    team.good("nox -s build_prod-3.11")
    team.good("airflow-images image.verify prod-3.11 --select 'installed or packages'")


def test_nothing_is_written_outside_the_folder(team: Team) -> None:
    """The last test of the folder: all commands above ran with this home folder."""
    # pip asks rustc for its version, which makes this folder where rustc comes from rustup.
    assert {path.name for path in team.home.iterdir()} <= {".rustup"}
    assert {path.name for path in team.folder.iterdir()} <= {
        *(*FILES, "constraints", "requirements.txt")
    }


CONTAINER = """\
set -e
mkdir /team && cd /team
python -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check /dist/*.whl
. .venv/bin/activate
python --version
airflow-images init
nox -s build_prod-3.11
airflow-images image.build --kind prod --python 3.11
airflow-images image.check --kind prod --local
airflow-images image.explain
airflow-images image.report
airflow-images-check --kind prod --local --fail
"""


@pytest.mark.nightly
def test_it_works_on_python_3_13(suite: Suite, engine: EmbeddedEngine, wheel: Path) -> None:
    """In a container, whose docker is the engine's."""
    python = "python:3.13-slim-bookworm"
    settings = {
        "AIRFLOW_IMAGES_CACHE": "/cache",
        "AIRFLOW_IMAGES_CACHE_BRANCH": "main",
        "AIRFLOW_IMAGES_ENGINE": "docker",
        "AIRFLOW_IMAGES_REGISTRY": engine.registry,
        "AIRFLOW_IMAGES_REPOSITORY": f"tests/team-{secrets.token_hex(4)}",
        "DOCKER_CONFIG": "/docker-config",
        "DOCKER_HOST": engine.host,
    }
    if not engine.hub:
        python = stand_ins.ensure_python(engine, "3.13", [apt.architecture()], print)
        base = stand_ins.ensure_python(engine, "3.11", [apt.architecture()], print)
        settings["AIRFLOW_IMAGES_BASE_IMAGE"] = base.replace("3.11", "{python}")
    if engine.ca_bundle:
        settings["SSL_CERT_FILE"] = settings["PIP_CERT"] = str(engine.ca_bundle)
    shared = re.compile(r"PIP_(?!FIND_LINKS|CERT|CACHE)\w+|UV_INDEX\w*|(?i:https?|no)_proxy")
    settings |= {name: text for name, text in os.environ.items() if shared.fullmatch(name)}
    folders = {
        str(wheel.parent): "/dist",
        str(Path(engine.host.removeprefix("unix://")).parent): None,
        str(engine.docker): "/usr/bin/docker",
        str(engine.buildx): "/usr/libexec/docker/cli-plugins/docker-buildx",
        f"{engine.environment['DOCKER_CONFIG']}/config.json": "/docker-config/config.json",
        **({str(engine.ca_bundle): None} if engine.ca_bundle else {}),
    }
    options = ["--rm", "--network", "host"]
    for name, text in settings.items():
        options += ["--env", f"{name}={text}"]
    for source, target in folders.items():
        options += ["--volume", f"{source}:{target or source}:ro"]
    out = suite.engine("run", *options, python, "bash", "-c", CONTAINER)
    assert "Python 3.13." in out
    assert "images.toml: written" in out
    assert out.count("prod-3.11-amd64: current\n") == 2
    assert "prod-3.11-amd64: built in " in out
