"""Private package indexes and folders of packages, on a real engine with the real Dockerfiles.

Only the steps with Debian packages are left out. The packages are empty, but for uv.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import apt_repository
import leaks
import package_index
import pytest
from archives import wheel
from package_index import PackageIndex
from suite import Suite, last, steps
from uv import find_uv_bin

USER, PASSWORD = "ci", "canary-index-password-4741"
BUILD = ("image.build", "--python", "3.11", "--retries", "0")
LOGIN = {
    f"UV_INDEX_{name}_{suffix}": value
    for name in ("CORP", "DEFAULT")
    for suffix, value in (("USERNAME", USER), ("PASSWORD", PASSWORD))
}
SETTINGS = """\
pythons = ["3.11"]
[airflow]
version = "9.9.9"
extras = ["celery"]
[ci]
test-packages = ["b"]
[dependencies]
python = ["corp-tool"]
"""
Serve = Callable[[Path], AbstractContextManager[PackageIndex]]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    wheel(folder / "uv-0.9.18-py3-none-any.whl", scripts={"uv": Path(find_uv_bin()).read_bytes()})
    wheel(folder / "pip-25.3-py3-none-any.whl")
    wheel(folder / "apache_airflow-9.9.9-py3-none-any.whl", "celery", requires=("b",))
    wheel(folder / "b-1.0-py3-none-any.whl")
    wheel(folder / "corp_tool-2.0-py3-none-any.whl")
    return folder


@pytest.fixture
def serve(packages: Path, gateway: str) -> Serve:
    """Serve the packages to steps."""
    return lambda folder: package_index.serving(packages, folder, USER, PASSWORD, address=gateway)


@pytest.fixture
def team(project: Suite) -> Suite:
    """A project without constraints, whose images have no Debian packages of their own."""
    for name in ("Dockerfile", "Dockerfile.ci"):
        file = project.root / name
        text, count = re.subn(apt_repository.STEP, "", file.read_text(), flags=re.MULTILINE)
        assert count == text.count(" AS main") + text.count(" AS build")
        file.write_text(text)
    for file in (project.root / "constraints").iterdir():
        if "3.11" in file.name:
            file.unlink()
    return project


def configure(team: Suite, text: str) -> None:
    (team.root / "images.toml").write_text(SETTINGS + text)


def use(team: Suite, index: PackageIndex) -> None:
    """Let a project have all its packages from an index."""
    configure(team, f'[index]\ndefault = "{index.url}"\nextra = ["corp={index.url}"]\n')
    text = (team.root / "images.toml").read_text()
    (team.root / "images.toml").write_text(f'ca-bundle = "{index.ca}"\n{text}')


def installed(team: Suite, done: str) -> list[str]:
    """Return the packages of the image that a build has loaded."""
    tags = re.search(r"loaded (\S+)", done)
    assert tags
    script = (
        "from importlib.metadata import distributions as d; "
        "print(*sorted(f'{i.name}=={i.version}' for i in d()))"
    )
    words = ("run", "--rm", "--entrypoint", "/opt/venv/bin/python", tags[1], "-c", script)
    return team.engine(*words).split()


@pytest.mark.parametrize("kind", [pytest.param("ci", marks=pytest.mark.nightly), "prod"])
def test_packages_of_a_private_index_are_in_the_image_and_its_password_is_nowhere(
    team: Suite, serve: Serve, kind: str, tmp_path: Path
) -> None:
    start = time.time()
    build = (*BUILD, "--kind", kind)
    with serve(tmp_path) as index, leaks.Arguments() as arguments:
        use(team, index)
        private = team.having(**LOGIN)
        made = [private.good("constraints.generate"), private.good(*build, "--dry-run")]
        done = private.good(*build, "--progress", "plain")
        made += [done, private.good(*build, "--push", "--push-cache")]
        made += [private.good("bake"), private.good("settings", "--json")]
    pip = ["pip==25.3"] if kind == "prod" else []
    assert installed(team, done.stderr) == [
        "apache-airflow==9.9.9",
        "b==1.0",
        "corp-tool==2.0",
        *pip,
    ]
    tags = re.search(r"loaded (\S+)", done.stderr)
    assert tags
    archive = tmp_path / "image.tar"
    team.engine("save", "--output", str(archive), tags[1])
    history = team.engine("history", "--no-trunc", tags[1])
    assert index.url not in history
    made.append(team.good("image.report", "--json"))
    assert [line for line in arguments.seen if b"id=index-credentials,env=" in line]
    layers = [*leaks.layers(archive)]
    assert [data for data in layers if b"corp_tool-2.0.dist-info" in data]
    texts = [
        *(text.encode() for run in made for text in (run.stdout, run.stderr)),
        *arguments.seen,
        *layers,
        history.encode(),
        team.engine("image", "inspect", tags[1]).encode(),
    ]
    # The engine's and the registry's own files, with BuildKit's history and the cache.
    cache = Path(team.environment["AIRFLOW_IMAGES_CACHE"])
    assert leaks.find([PASSWORD], texts, start, cache, team.root) == set()


def test_another_mirror_repeats_no_step(team: Suite, serve: Serve, tmp_path: Path) -> None:
    events = ""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        with serve(tmp_path / name) as index:
            use(team, index)
            if not events:
                team.having(**LOGIN).good("constraints.generate")
            events = team.having(**LOGIN).good(*BUILD, "--progress", "rawjson").stderr
    assert len(steps(events)) >= 5
    assert [step.name for step in steps(events) if not step.cached] == []


@pytest.mark.parametrize("kind", [pytest.param("ci", marks=pytest.mark.nightly), "prod"])
def test_a_netrc_file_has_the_password_and_a_wrong_one_is_one_line(
    team: Suite, serve: Serve, kind: str, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    with serve(tmp_path) as index:
        host = index.url.split("/")[2].partition(":")[0]
        use(team, index)
        private = team.having(NETRC=str(netrc))
        netrc.write_text(f"machine {host} login {USER} password {PASSWORD}\n")
        private.good("constraints.generate")
        netrc.write_text(f"machine {host} login {USER} password wrong-4742\n")
        options = ("--kind", kind, "--cache-mode", "disabled")
        done = private.invoke(*BUILD, *options)
        assert done.returncode == 10, done.stderr[-3000:]
        message = f"uv 0.9.18 cannot be had from {index.url}: is it there, with these credentials?"
        assert f"{kind}-3.11-amd64: {message}" in last(done.stderr)
        assert "4742" not in done.stderr
        netrc.write_text(f"machine {host} login {USER} password {PASSWORD}\n")
        private.good(*BUILD, *options)


def test_a_wrong_password_of_a_further_index_is_one_line(
    team: Suite, packages: Path, serve: Serve, tmp_path: Path
) -> None:
    """uv comes from the folder, and the other packages from the index."""
    with serve(tmp_path) as index:
        use(team, index)
        team.having(**LOGIN).good("constraints.generate")
        wrong = {name: value.replace(PASSWORD, "wrong-4742") for name, value in LOGIN.items()}
        folder = team.root / "wheelhouse"
        folder.mkdir()
        shutil.copy(packages / "uv-0.9.18-py3-none-any.whl", folder)
        settings = ("--index-find-links", str(folder), "--cache-mode", "disabled")
        done = team.having(**wrong).invoke(*BUILD, *settings)
    assert done.returncode == 5, done.stderr[-3000:]
    assert f"ci-3.11-amd64: the index {index.url} refuses the credentials" in last(done.stderr)


@pytest.mark.parametrize("kind", [pytest.param("ci", marks=pytest.mark.nightly), "prod"])
def test_a_folder_of_packages_is_enough_without_a_network(
    team: Suite, packages: Path, kind: str
) -> None:
    shutil.copytree(packages, team.root / "wheelhouse")
    configure(team, '[index]\nfind-links = ["wheelhouse"]\noffline = true\n')
    for name in ("Dockerfile", "Dockerfile.ci"):
        file = team.root / name
        file.write_text(
            re.sub("^RUN ", "RUN --network=none ", file.read_text(), flags=re.MULTILINE)
        )
    team.good("constraints.generate")
    done = team.good(*BUILD, "--kind", kind)
    assert "corp-tool==2.0" in installed(team, done.stderr)
    wheel(team.root / "wheelhouse" / "corp_tool-2.1-py3-none-any.whl")
    team.good("constraints.generate", "--upgrade")
    done = team.good(*BUILD, "--kind", kind)
    assert "corp-tool==2.1" in installed(team, done.stderr)
    (team.root / "wheelhouse/b-1.0-py3-none-any.whl").unlink()
    done = team.invoke(*BUILD, "--kind", kind, "--cache-mode", "disabled")
    assert done.returncode == 8, done.stderr[-3000:]
    lacks = f"{kind}-3.11-amd64: the folder of packages (index.find-links) lacks b, and no index "
    assert lacks in last(done.stderr)
    assert "you require b==1.0" in last(done.stderr)
