"""What the settings give to steps, on a real engine: Debian sources, secrets, agents, proxies."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import apt_repository
import leaks
import package_index
import pytest
from apt_repository import Repository
from archives import wheel
from suite import ROOT, Suite, steps
from uv import find_uv_bin

from build_tasks.engine import apt, packages
from build_tasks.engine.folders import engine_folders
from build_tasks.engine.state import EmbeddedEngine

PASSWORD = "canary-apt-password-4731"  # noqa: S105 - to be searched for
CANARIES = (PASSWORD, "canary-in-variable-4732", "canary-in-file-4733")
BUILD = ("image.build", "--python", "3.11", "--retries", "0")
#: The start of a Dockerfile with the step of Dockerfile.ci that installs Debian packages.
HEAD = """\
ARG BASE_IMAGE
FROM scratch AS apt
FROM scratch AS ca-bundle
FROM ${BASE_IMAGE} AS main
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ARG AIRFLOW_PYTHON_VERSION=3.11
"""
Serve = Callable[..., AbstractContextManager[Repository]]


def apt_step(name: str) -> str:
    """Return the last step of a Dockerfile that runs apt-get, without packages of its own."""
    text = (ROOT / name).read_text()
    step = re.findall(apt_repository.STEP, text, re.MULTILINE)[-1]
    return re.sub(r"(--no-install-recommends \\\n)(?: +[a-z0-9-]+ \\\n)+", r"\1", step)


@pytest.fixture(scope="module")
def repository(suite: Suite, base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("apt") / "repository"
    apt_repository.make(suite, base, folder)
    return folder


@pytest.fixture
def serve(gateway: str) -> Serve:
    """Serve a folder to steps."""
    return lambda folder, login="": apt_repository.serving(folder, gateway, login)


def configure(project: Suite, repository: Repository, build: str = "") -> None:
    """Let a project take Debian packages from a repository alone."""
    folder = project.root / "apt"
    folder.mkdir(exist_ok=True)
    (folder / "team.sources").write_text(repository.source)
    (folder / "team.asc").write_bytes((repository.folder / "team.asc").read_bytes())
    file = project.root / "images.toml"
    text = re.sub(
        r"^apt-(dev|runtime) = .*$",
        r'apt-\1 = ["hello-team"]',
        file.read_text(),
        flags=re.MULTILINE,
    )
    settings = (
        'mirror = "none"\nsources = ["apt/team.sources"]\nenvironment = { ACCEPT_EULA = "Y" }'
    )
    file.write_text(f"{text}\n[apt]\n{settings}\n{build}")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """A socket like that of an SSH agent."""
    path = tmp_path / "agent"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield path


def test_packages_of_a_private_signed_source_and_secrets_leave_no_trace(
    project: Suite, serve: Serve, repository: Path, agent: Path, tmp_path: Path
) -> None:
    start = time.time()
    (tmp_path / "secret").write_text(CANARIES[2])
    build = (
        "[build]\nsecrets = { apt-auth = 'env:APT_AUTH', plain = 'env:PLAIN', "
        f"own = 'file:{tmp_path}/secret' }}\nssh = ['default']\narguments = {{ FLAVOR = 'a b' }}\n"
    )
    (project.root / "Dockerfile.ci").write_text(
        f"{HEAD}ARG TARGETARCH\nARG ADDITIONAL_DEV_APT_DEPS\n{apt_step('Dockerfile.ci')}"
        "ARG FLAVOR\n"
        "RUN --mount=type=secret,id=plain --mount=type=secret,id=own --mount=type=ssh "
        "cat /usr/share/hello-team/hello; ls -A /etc/apt/sources.list.d /run /tmp; "
        'sha256sum /run/secrets/plain /run/secrets/own; [ -S "${SSH_AUTH_SOCK}" ]; '
        'echo "flavor ${FLAVOR}, proxy ${https_proxy} but ${NO_PROXY}"\n'
    )
    with serve(repository, f"me:{PASSWORD}") as served, leaks.Arguments() as arguments:
        configure(project, served, build)
        login = f"machine {served.url} login me password {PASSWORD}"
        options = ("--https-proxy", "http://proxy.example.com:3128", "--no-proxy", ".example.org")
        private = project.having(APT_AUTH=login, PLAIN=CANARIES[1], SSH_AUTH_SOCK=str(agent))
        shown = private.invoke(*BUILD, *options, "--dry-run")
        done = private.invoke(*BUILD, *options, "--progress", "plain")
        assert done.returncode == 0, done.stderr[-3000:]
        pushed = private.invoke(*BUILD, *options, "--push", "--push-cache")
        assert pushed.returncode == 0, pushed.stderr[-3000:]
    assert re.search(r"\d hello$", done.stderr, re.MULTILINE)
    assert "flavor a b, proxy http://proxy.example.com:3128 but .example.org" in done.stderr
    tags = re.search(r"loaded (\S+)", done.stderr)
    assert tags
    archive = tmp_path / "image.tar"
    project.engine("save", "--output", str(archive), tags[1])
    history = project.engine("history", "--no-trunc", tags[1])
    assert "proxy.example.com" not in history
    assert [line for line in arguments.seen if b"id=plain,env=PLAIN" in line]
    layers = [*leaks.layers(archive)]
    assert [data for data in layers if b"usr/share/hello-team/hello" in data]
    texts = [
        *(text.encode() for made in (shown, done, pushed) for text in (made.stdout, made.stderr)),
        *arguments.seen,
        *layers,
        history.encode(),
        project.engine("image", "inspect", tags[1]).encode(),
        project.invoke("image.report", "--json").stdout.encode(),
    ]
    # The engine's and the registry's own files, with BuildKit's history and the cache.
    cache = Path(project.environment["AIRFLOW_IMAGES_CACHE"])
    assert leaks.find(CANARIES, texts, start, cache) == set()


def test_a_source_that_is_not_signed_is_one_line(
    project: Suite, serve: Serve, repository: Path, tmp_path: Path
) -> None:
    unsigned = tmp_path / "unsigned"
    unsigned.mkdir()
    for name in ("Packages", "Release", "team.asc"):
        (unsigned / name).write_bytes((repository / name).read_bytes())
    (project.root / "Dockerfile.ci").write_text(
        f"{HEAD}ARG TARGETARCH\nARG ADDITIONAL_DEV_APT_DEPS\n{apt_step('Dockerfile.ci')}"
    )
    with serve(unsigned) as served:
        configure(project, served)
        done = project.invoke(*BUILD)
    assert done.returncode == 10, done.stderr[-2000:]
    said = done.stderr.strip().splitlines()[-1]
    assert (
        f"ci-3.11-amd64: E: The repository '{served.url} ./ Release' is not signed. (step " in said
    )


def test_a_source_whose_password_is_wrong_is_one_line(
    project: Suite, serve: Serve, repository: Path
) -> None:
    (project.root / "Dockerfile.ci").write_text(
        f"{HEAD}ARG TARGETARCH\nARG ADDITIONAL_DEV_APT_DEPS\n{apt_step('Dockerfile.ci')}"
    )
    with serve(repository, f"me:{PASSWORD}") as served:
        configure(project, served)
        done = project.invoke(*BUILD)
    assert done.returncode == 10, done.stderr[-2000:]
    said = done.stderr.strip().splitlines()[-1]
    assert "401 Unauthorized" in said


def test_another_mirror_of_debian_repeats_no_step(project: Suite) -> None:
    (project.root / "Dockerfile.ci").write_text(
        f"{HEAD}ARG TARGETARCH\nARG ADDITIONAL_DEV_APT_DEPS\n{apt_step('Dockerfile.ci')}"
    )
    options = (*BUILD, "--dependencies-apt-dev", "tree", "--progress", "rawjson")
    project.good(*options, "--apt-mirror", apt.mirror())
    events = project.good(*options, "--apt-mirror", "https://mirror.example.com/debian").stderr
    assert len(steps(events)) == 1
    assert [step.name for step in steps(events) if not step.cached] == []


@contextlib.contextmanager
def without_internet(engine: EmbeddedEngine) -> Iterator[None]:
    """Let nothing of the engine's containers and steps leave this machine."""
    folder = engine_folders().packages(engine.release)
    environment = {**os.environ, **packages.environment(folder)}
    rule = ("FORWARD", "-i", engine_folders().bridge, "-j", "DROP")
    program = str(folder / "usr/sbin/iptables")
    subprocess.run([program, "-I", *rule], env=environment, check=True)
    try:
        yield
    finally:
        subprocess.run([program, "-D", *rule], env=environment, check=True)


@pytest.fixture
def archive(project: Suite, base: str, tmp_path: Path) -> Path:
    """A repository of all Debian packages that the Dockerfile installs."""
    text = (ROOT / "Dockerfile").read_text()
    lists = re.findall(
        r"apt_get install --yes --no-install-recommends ((?:\\\n +[a-z0-9-]+ )+)", text
    )
    assert len(lists) == 2
    names = sorted({*" ".join(lists).replace("\\\n", " ").split()})
    apt_repository.make(project, base, tmp_path / "archive", names)
    return tmp_path / "archive"


def configure_alone(project: Suite, served: Repository, index: str, build: str = "") -> None:
    """Let a project take nothing from elsewhere."""
    for file in (project.root / "constraints").glob("*3.11*"):
        file.unlink()
    (project.root / "images.toml").write_text(
        'pythons = ["3.11"]\n[airflow]\nversion = "9.9.9"\nextras = []\n'
        "[dependencies]\napt-dev = []\n"
        f'apt-runtime = []\npython = ["corp-tool"]\n[prod]\nprofile = "slim"\n[index]\n{index}\n'
    )
    configure(project, served, build)


def make_wheels(folder: Path) -> None:
    wheel(folder / "uv-0.9.18-py3-none-any.whl", scripts={"uv": Path(find_uv_bin()).read_bytes()})
    wheel(folder / "pip-25.3-py3-none-any.whl")
    wheel(folder / "apache_airflow-9.9.9-py3-none-any.whl")
    wheel(folder / "corp_tool-2.0-py3-none-any.whl")


def check_content(project: Suite, output: str) -> str:
    """Check the packages of the image that a build has loaded, and return its tag."""
    tags = re.search(r"loaded (\S+)", output)
    assert tags
    script = "cat /usr/share/hello-team/hello; ls -d /opt/venv/lib/python3.11/site-packages/corp_*"
    told = project.engine("run", "--rm", "--entrypoint", "bash", tags[1], "-c", script)
    assert re.fullmatch(r"hello\n\S+/corp_tool-2.0.dist-info\n", told)
    return tags[1]


@pytest.mark.nightly
def test_prod_needs_an_archive_of_debian_packages_and_a_folder_of_wheels_alone(
    project: Suite, serve: Serve, base: str, engine: EmbeddedEngine, archive: Path
) -> None:
    """The real Dockerfile, with the base image's sources switched off and without the internet."""
    make_wheels(project.root / "wheelhouse")
    with serve(archive) as served, without_internet(engine):
        configure_alone(project, served, 'find-links = ["wheelhouse"]\noffline = true')
        update = ("apt-get", "-o", "Acquire::Retries=0", "-o", "APT::Update::Error-Mode=any")
        with pytest.raises(AssertionError):
            project.engine("run", "--rm", base, *update, "update")
        project.good("constraints.generate")
        done = project.good(*BUILD, "--kind", "prod", "--cache-mode", "disabled")
    check_content(project, done.stderr)


@pytest.mark.nightly
def test_prod_needs_a_private_index_and_a_private_archive_alone(
    project: Suite,
    serve: Serve,
    engine: EmbeddedEngine,
    gateway: str,
    archive: Path,
) -> None:
    """The same, with passwords for both, which are found nowhere."""
    start = time.time()
    folders = archive.with_name("packages"), archive.with_name("certificates")
    make_wheels(folders[0])
    folders[1].mkdir()
    with (
        serve(archive, f"me:{PASSWORD}") as served,
        package_index.serving(*folders, "me", CANARIES[1], address=gateway) as index,
        leaks.Arguments() as arguments,
        without_internet(engine),
    ):
        build = "[build]\nsecrets = { apt-auth = 'env:APT_AUTH' }\n"
        configure_alone(project, served, f'default = "{index.url}"', build)
        private = project.having(
            AIRFLOW_IMAGES_CA_BUNDLE=str(index.ca),
            APT_AUTH=f"machine {served.url} login me password {PASSWORD}",
            UV_INDEX_DEFAULT_USERNAME="me",
            UV_INDEX_DEFAULT_PASSWORD=CANARIES[1],
        )
        options = (*BUILD, "--kind", "prod", "--cache-mode", "disabled")
        made = [private.good("constraints.generate"), private.good(*options, "--dry-run")]
        made += [private.good(*options, "--progress", "plain")]
        made += [private.good(*options, "--push", "--push-cache"), private.good("bake")]
    tag = check_content(project, made[2].stderr)
    image = archive.with_name("image.tar")
    project.engine("save", "--output", str(image), tag)
    texts = [
        *(text.encode() for run in made for text in (run.stdout, run.stderr)),
        *arguments.seen,
        *leaks.layers(image),
        project.engine("history", "--no-trunc", tag).encode(),
        project.engine("image", "inspect", tag).encode(),
        project.good("image.report", "--json").stdout.encode(),
    ]
    cache = Path(project.environment["AIRFLOW_IMAGES_CACHE"])
    assert leaks.find(CANARIES, texts, start, cache, project.root) == set()
