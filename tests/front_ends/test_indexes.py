"""Private package indexes: a real one, with the real uv and pip, and no engine.

The steps of the Dockerfiles run on this machine, with the secrets that buildx was given.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from archives import wheel
from fake_docker import ROOT, Bench, last
from package_index import PackageIndex, serving
from uv import find_uv_bin

USER, CANARY = "ci", "canary-index-4711"
BUILD = ("image.build", "--python", "3.11", "--platform", "amd64")
SHOWN = (BUILD, (*BUILD, "--dry-run"), ("bake", "--python", "3.11"), ("settings",))
DOCKERFILE = (ROOT / "Dockerfile.ci").read_text()
VARIABLE = "AIRFLOW_INDEX_CREDENTIALS"
#: A network that nothing gets through.
SHUT = {f"{scheme}_PROXY": "http://127.0.0.1:9" for scheme in ("HTTP", "HTTPS", "ALL")}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All packages that an image without extras needs here; uv is the one of this machine."""
    folder = tmp_path_factory.mktemp("packages")
    run_uv = f'#!/bin/sh\nexec {find_uv_bin()} "$@"\n'
    wheel(folder / "uv-0.9.18-py3-none-any.whl", scripts={"uv": run_uv})
    wheel(folder / "apache_airflow-9.9.9-py3-none-any.whl", "celery", requires=("b",))
    wheel(folder / "b-1.0-py3-none-any.whl")
    wheel(folder / "corp_tool-2.0-py3-none-any.whl")
    return folder


@pytest.fixture(scope="module")
def index(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackageIndex]:
    with serving(packages, tmp_path_factory.mktemp("certificates"), USER, CANARY) as served:
        yield served


@pytest.fixture
def team(bench: Bench, index: PackageIndex) -> Bench:
    """A project that has all packages from the index."""
    root = bench.folder / "team"
    root.mkdir()
    (root / "images.toml").write_text(
        f'pythons = ["3.11"]\nca-bundle = "{index.ca}"\n'
        '[airflow]\nversion = "9.9.9"\nextras = ["celery"]\n'
        '[dependencies]\npython = ["corp-tool"]\n'
        f'[index]\nextra = ["corp={index.url}"]\ndefault = "{index.url}"\n'
    )
    for name in ("noxfile.py", "tasks.py"):
        (root / name).write_text((bench.root / name).read_text())
    (root / "constraints").mkdir()
    return replace(bench, root=root)


def credentials(team: Bench, way: str) -> dict[str, str]:
    """Give the team its password in one of the ways; return the variables for that."""
    names = ("UV_INDEX_CORP", "UV_INDEX_DEFAULT")
    users = {f"{name}_USERNAME": USER for name in names}
    if way == "variables":
        return {**users, **{f"{name}_PASSWORD": CANARY for name in names}}
    if way == "keyring":
        program = team.folder / "bin" / "keyring"
        program.write_text(f'#!/bin/sh\n[ "$1 $3" = "get {USER}" ] && echo {CANARY}\n')
        program.chmod(0o755)
        return {**users, "AIRFLOW_IMAGES_INDEX_KEYRING": "subprocess"}
    file = team.folder / ".netrc"
    file.write_text(f"machine 127.0.0.1 login {USER} password {CANARY}\n")
    return {}


WAYS = ("variables", "netrc", "keyring")


@pytest.mark.parametrize("way", WAYS)
def test_constraints_come_from_the_index(team: Bench, way: str) -> None:
    done = team.invoke("constraints.generate", **credentials(team, way))
    assert done.returncode == 0, done.stderr
    lines = (team.root / "constraints/constraints-3.11.txt").read_text().splitlines()
    assert lines[2:] == ["apache-airflow==9.9.9", "b==1.0", "corp-tool==2.0"]
    assert (team.root / "constraints/extras-9.9.9.txt").read_text().endswith("\ncelery\n")
    baseline = (team.root / "constraints/baseline-3.11.txt").read_text()
    assert "b==1.0  # 1000000" in baseline
    assert CANARY not in done.stdout + done.stderr + team_files(team)


def team_files(team: Bench) -> str:
    """Return all that the suite has written."""
    folders = (team.folder / "cache", team.root)
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return "\n".join(file.read_text(errors="replace") for file in files)


def test_a_wrong_password_is_one_line(team: Bench) -> None:
    given = credentials(team, "variables")
    wrong = {name: value.replace(CANARY, "wrong-4712") for name, value in given.items()}
    done = team.invoke("constraints.generate", **wrong)
    assert done.returncode == 5
    assert "403 Forbidden" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "4712" not in done.stderr


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", SHOWN, ids=" ".join)
def test_no_output_command_or_file_has_the_password(
    team: Bench, way: str, command: tuple[str, ...]
) -> None:
    constrain(team)
    given = credentials(team, way)
    done = team.invoke(*command, **given, FAKE_PRINTS=VARIABLE)
    assert done.returncode == 0, done.stderr
    seen = done.stdout + done.stderr + team_files(team)
    seen += "\n".join(" ".join(words) for words in team.told())
    seen += team.invoke("image.report", "--json").stdout
    assert CANARY not in seen
    if command == BUILD:
        printed = (team.folder / "log.printed").read_text()
        assert printed == f"machine 127.0.0.1 login {USER} password {CANARY}\n\n"
    elif command != SHOWN[-1]:
        assert f"the commands read the credentials of indexes from {VARIABLE}" in done.stderr


def constrain(team: Bench) -> None:
    """Write the constraints and the baseline of a project."""
    pins = {"apache-airflow": "9.9.9", "b": "1.0", "corp-tool": "2.0"}
    text = "".join(f"{name}=={version}\n" for name, version in pins.items())
    header = "# Made by `nox -s constraints-3.11`: Airflow 9.9.9 on Python 3.11.\n"
    (team.root / "constraints/constraints-3.11.txt").write_text(header + text)
    (team.root / "constraints/baseline-3.11.txt").write_text(text.replace("\n", "  # 1000\n"))


@dataclass(frozen=True)
class Machine:
    """A folder in place of the file system of a container."""

    root: Path
    environment: Mapping[str, str]

    def moved(self, text: str) -> str:
        """Return a text with the paths of a container below the folder."""
        start = r"(?:(?<![\w.}/])|(?<=file://))/(?=(?:run|tmp|opt|var/cache|usr/local/(?:uv|bin/base-python))\b)"
        return re.sub(start, f"{self.root}/", text)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", self.moved(script)],
            env={**self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def machine(team: Bench, **environment: str) -> Machine:
    """Build, and return a machine with the secrets, arguments and files of that build."""
    (words,) = team.builds()
    root = team.folder / "machine"
    here = Machine(root, {})
    pairs = [*itertools.pairwise(words)]
    arguments = dict(value.split("=", 1) for name, value in pairs if name == "--build-arg")
    contexts = dict(value.split("=", 1) for name, value in pairs if name == "--build-context")
    (root / "run/secrets").mkdir(parents=True)
    for folder in ("tmp", "opt/venv", "var/cache", "run/constraints", "run/requirements"):
        (root / folder).mkdir(parents=True)
    printed = team.folder / "log.printed"
    for name, value in pairs:
        if name == "--secret":
            secret, place = (part.partition("=")[2] for part in value.split(","))
            source = printed if "env=" in value else Path(place)
            (root / "run/secrets" / secret).write_text(here.moved(source.read_text()))
    context = Path(words[-1]) / "constraints"
    for name, target in (("baseline", ""), ("constraints", "constraints/")):
        text = (context / f"{name}-3.11.txt").read_text()
        (root / f"run/{target}{name}.txt").write_text(text)
    if "wheelhouse" in contexts:
        (root / "run/wheelhouse").symlink_to(contexts["wheelhouse"])
    for link in ("bin/python3", "usr/local/bin/base-python"):
        (root / link).parent.mkdir(parents=True)
        (root / link).symlink_to(Path(sys.base_prefix) / "bin/python3")
    path = f"{root}/opt/venv/bin:{root}/opt/uv/bin:{root}/bin:/usr/bin:/bin"
    own = {"PATH": path, "VIRTUAL_ENV": f"{root}/opt/venv", "HOME": str(root)}
    defaults = dict(re.findall(r'^ARG (\w+)="?([^"\n]*)', DOCKERFILE, re.MULTILINE))
    return Machine(root, {**defaults, **arguments, **own, **environment})


def steps() -> dict[str, str]:
    """Return the scripts of the steps of Dockerfile.ci that install Python packages, by name."""
    scripts = re.findall(r"<<EOF\n(# ([^\n]*)\n.*?)\nEOF$", DOCKERFILE, re.MULTILINE | re.DOTALL)
    return {
        name: script
        for script, name in scripts
        if re.search(r"(?:pip|\{pip\[@\]\}\") (?:install|sync)", script)
    }


def installed(here: Machine) -> str:
    done = here.run('uv pip freeze --python "${VIRTUAL_ENV}"')
    assert done.returncode == 0, done.stderr
    return done.stdout


def install(here: Machine) -> None:
    """Run the steps that install Python packages."""
    scripts = steps()
    assert len(scripts) == 3
    for name, script in scripts.items():
        done = here.run(script)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        assert CANARY not in done.stdout + done.stderr
    assert installed(here).splitlines() == ["apache-airflow==9.9.9", "b==1.0", "corp-tool==2.0"]


TESTS = {"AIRFLOW_TEST_DEPS": "b"}


def test_all_steps_install_from_the_index(team: Bench) -> None:
    constrain(team)
    given = credentials(team, "variables")
    done = team.invoke(*BUILD, **given, FAKE_PRINTS=VARIABLE)
    assert done.returncode == 0, done.stderr
    install(machine(team, **TESTS))


def test_a_step_without_the_credentials_says_so(team: Bench, index: PackageIndex) -> None:
    constrain(team)
    assert team.invoke(*BUILD).returncode == 0
    here = machine(team, **TESTS)
    assert not (here.root / "run/secrets/index-credentials").exists()
    done = here.run(steps()["install uv"])
    assert done.returncode != 0
    message = f"uv 0.9.18 cannot be had from {index.url}: is it there, with these credentials?"
    assert last(done.stderr) == message


@pytest.mark.parametrize("place", ["wheelhouse", "elsewhere"])
def test_a_folder_alone_is_enough_without_a_network(
    team: Bench, packages: Path, place: str
) -> None:
    folder = (team.root if place == "wheelhouse" else team.folder) / "wheelhouse"
    folder.mkdir()
    for file in packages.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    file = team.root / "images.toml"
    text = file.read_text().partition("[index]")[0].replace("ca-bundle", "# ca-bundle")
    named = "wheelhouse" if place == "wheelhouse" else str(folder)
    file.write_text(f'{text}[index]\nfind-links = ["{named}"]\noffline = true\n')
    done = team.invoke("constraints.generate", **SHUT)
    assert done.returncode == 0, done.stderr
    assert "corp-tool==2.0" in (team.root / "constraints/constraints-3.11.txt").read_text()
    done = team.invoke(*BUILD)
    assert done.returncode == 0, done.stderr
    here = machine(team, **TESTS, **SHUT)
    install(here)
    (folder / "b-1.0-py3-none-any.whl").unlink()
    (here.root / "run/wheelhouse").unlink()
    (here.root / "run/wheelhouse").symlink_to(folder)
    done = here.run(f"{steps()['install the baseline of Python packages']} --reinstall")
    assert "b==1.0" in done.stderr
    assert done.returncode != 0


def test_nox_and_invoke_take_the_same_options(team: Bench, index: PackageIndex) -> None:
    constrain(team)
    (team.root / "images.toml").write_text(
        'pythons = ["3.11"]\n[airflow]\nversion = "9.9.9"\nextras = []\n'
    )
    options = ("--index-default", index.url, "--uv-timeout", "30", "--ca-bundle", str(index.ca))
    by_nox = team.nox("build_ci-3.11-amd64", *options)
    by_invoke = team.invoke(*BUILD, *options)
    assert (by_nox.returncode, by_invoke.returncode) == (0, 0), by_nox.stderr + by_invoke.stderr
    first, second = (
        [word for word in words if word.startswith("id=index")] for words in team.builds()
    )
    assert first == second
    (secret,) = first
    lines = shlex.split(Path(secret.partition("src=")[2]).read_text(), comments=True)
    assert f"UV_DEFAULT_INDEX={index.url}" in lines
    assert "PIP_DEFAULT_TIMEOUT=30" in lines


def test_a_variable_of_uv_counts_for_builds_too(team: Bench, index: PackageIndex) -> None:
    constrain(team)
    (team.root / "images.toml").write_text(
        'pythons = ["3.11"]\n[airflow]\nversion = "9.9.9"\nextras = []\n'
    )
    address = index.url.replace("://", f"://{USER}:{CANARY}@")
    done = team.invoke(*BUILD, UV_INDEX_URL=address, FAKE_PRINTS=VARIABLE)
    assert done.returncode == 0, done.stderr
    assert f"password {CANARY}" in (team.folder / "log.printed").read_text()
    seen = done.stderr + team_files(team) + team.invoke("settings", UV_INDEX_URL=address).stdout
    assert CANARY not in seen
    assert index.url in seen


def test_constraints_of_a_server_with_an_own_ca_need_the_bundle(
    team: Bench, index: PackageIndex
) -> None:
    """The index is no place of constraints, but it answers."""
    (team.root / "images.toml").write_text(
        'pythons = ["3.11"]\n[airflow]\nversion = "9.9.9"\nextras = []\n'
    )
    build = (*BUILD, "--kind", "prod", "--constraints-location", index.url)
    done = team.invoke(*build)
    assert done.returncode == 7
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr
    done = team.invoke(*build, "--ca-bundle", str(index.ca))
    assert done.returncode == 2
    assert last(done.stderr) == f"--constraints-location: {index.url}: 401 Unauthorized"


def test_a_keyring_that_is_not_installed_is_one_line(team: Bench) -> None:
    given = credentials(team, "keyring")
    (team.folder / "bin" / "keyring").unlink()
    constrain(team)
    done = team.invoke(*BUILD, **given)
    assert done.returncode == 127
    assert len(done.stderr.strip().splitlines()) == 1
    assert "keyring" in done.stderr
    assert team.builds() == []
