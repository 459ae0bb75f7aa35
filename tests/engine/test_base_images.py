"""Bases with Python elsewhere and little else, and locked bases that move."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from suite import Suite, last

from build_tasks.engine import apt, stand_ins
from build_tasks.engine.state import EmbeddedEngine

PYTHON = ("--python", "3.11")
#: A base like the hardened ones: Python in /opt, without bytecode, and few programs.
HARDENED = """\
ARG BASE
ARG RELEASE
FROM ${BASE} AS python
RUN <<EOF
mkdir --parents /opt/python/bin /opt/python/lib /opt/python/include
cp /usr/bin/python3.11 /opt/python/bin/
ln --symbolic python3.11 /opt/python/bin/python3
cp --recursive /usr/lib/python3.11 /opt/python/lib/
cp --recursive /usr/include/python3.11 /opt/python/include/
find /opt/python -name __pycache__ -prune -exec rm --recursive {} +
EOF
FROM ${RELEASE}
COPY --from=python /opt/python /opt/python
RUN ! command -v git && ! command -v curl
"""
#: In Debian 12, apt itself needs the programs that add users.
WITHOUT_USERADD = """RUN <<EOF
dpkg --purge --force-depends passwd
apt-get --option Dir::Cache::pkgcache= --option Dir::Cache::srcpkgcache= check
! command -v useradd
EOF
"""
#: Where nothing but /opt/python is left to be found, although PATH does not lead there.
WITHOUT_OTHER = "RUN rm --recursive /usr/bin/python3* /usr/lib/python3.11\nUSER 65534\n"
#: Where another Python comes after it on PATH.
WITH_OTHER = "ENV PATH=/opt/python/bin:$PATH LD_LIBRARY_PATH=/opt/python/lib\nUSER 65534\n"
#: The small image of the tests of locks.
SMALL = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS main
RUN grep ^Version: /var/lib/dpkg/status | tail -n 1 > /version
"""
STATUS = r"\nPackage: moved\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n"


@pytest.fixture
def push(engine: EmbeddedEngine, tmp_path: Path) -> Callable[..., str]:
    """Push an image, and return its name."""

    def build(name: str, dockerfile: str, **arguments: str) -> str:
        reference = f"{engine.registry}/tests/{name}-{tmp_path.name}:1"
        given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        command = [str(engine.buildx), "build", "--push", "--provenance=false", *given]
        done = subprocess.run(
            [*command, "--tag", reference, "-"],
            input=dockerfile,
            env=engine.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return reference

    return build


def built(suite: Suite, kind: str, base: str, *options: str) -> str:
    """Build an image on a base, verify it, and return its name."""
    selected = ("--kind", kind, *PYTHON, "--tag", "hardened", "--base-image", base)
    done = suite.invoke("image.build", *selected, *options)
    assert done.returncode == 0, done.stderr[-3000:]
    done = suite.invoke("image.verify", *selected, *options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    names = suite.engine("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    return next(name for name in names if name.endswith(f"/{kind}/python3.11:hardened"))


def script(suite: Suite, image: str, text: str) -> list[str]:
    return suite.engine("run", "--rm", "--entrypoint", "bash", image, "-c", text).splitlines()


@pytest.mark.nightly
def test_a_base_with_its_python_in_opt_alone(
    suite: Suite, base: str, push: Callable[..., str]
) -> None:
    hardened = push("hardened", HARDENED + WITHOUT_OTHER, BASE=base, RELEASE=base)
    image = built(suite, "prod", hardened, "--prod-profile", "slim", "--prod-bytecode", "none")
    text = "readlink -f /opt/venv/bin/python; echo $PATH; id -u; du -sk /opt/venv /opt/python"
    python, path, user, environment, own = script(suite, image, text)
    assert python == "/opt/python/bin/python3.11"
    assert path.startswith("/root/bin:/opt/venv/bin:")  # the first has root's pip, which refuses
    assert user == "50000"
    # The layer with the environment has nothing of /opt/python.
    history = ("history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}")
    (size,) = (
        int(line.split()[0])
        for line in suite.engine(*history, image).splitlines()
        if " /opt/ /opt/" in line
    )
    assert size / 1024 < int(environment.split()[0]) + int(own.split()[0]) / 2


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["prod", "ci"])
def test_a_base_of_another_release_with_another_python_beside(
    suite: Suite, engine: EmbeddedEngine, base: str, push: Callable[..., str], kind: str
) -> None:
    release = stand_ins.ensure_python(engine, "3.13", [apt.architecture()], print)
    hardened = push("trixie", HARDENED + WITHOUT_USERADD + WITH_OTHER, BASE=base, RELEASE=release)
    options = ("--prod-profile", "slim") if kind == "prod" else ()
    image = built(suite, kind, hardened, *options)
    text = "readlink -f /opt/venv/bin/python; echo $LD_LIBRARY_PATH; cat /etc/debian_version"
    python, libraries, debian = script(suite, image, text)
    assert (python, libraries) == ("/opt/python/bin/python3.11", "/opt/python/lib")
    assert debian.startswith("13")


def test_a_base_without_the_right_python_is_one_line(
    suite: Suite, base: str, push: Callable[..., str]
) -> None:
    other = push("none", "ARG BASE\nFROM ${BASE}\nRUN rm /usr/bin/python3*\n", BASE=base)
    done = suite.invoke("image.build", "--kind", "prod", *PYTHON, "--base-image", other)
    assert done.returncode == 10
    assert "the base image has no Python 3.11: name another one with --base-image" in done.stderr
    done = suite.invoke("image.build", "--kind", "prod", "--python", "3.13", "--base-image", base)
    assert done.returncode == 10
    assert "no Python 3.13; /usr/bin/python3.11 is Python 3.11: name another" in done.stderr


@pytest.fixture
def move(base: str, push: Callable[..., str]) -> Callable[[str], str]:
    """Push a base with another version of a package under the same name, and return the name."""

    def make(version: str) -> str:
        append = f"RUN printf '{STATUS.format(version=version)}' >> /var/lib/dpkg/status\n"
        return push("moving", f"ARG BASE\nFROM ${{BASE}}\n{append}ENV STEP={version}\n", BASE=base)

    return make


def test_a_locked_base_is_built_on_until_it_is_locked_again(
    project: Suite, move: Callable[[str], str], tmp_path: Path
) -> None:
    (project.root / "Dockerfile.ci").write_text(SMALL)
    here = project.having(
        AIRFLOW_IMAGES_BASE_IMAGE=move("1"), AIRFLOW_IMAGES_REPOSITORY=f"tests/{tmp_path.name}"
    )
    here.good("base.update", *PYTHON)
    before = (here.root / "base.lock").read_text()
    here.good("image.build", *PYTHON, "--locked")
    check = ("image.check", "--kind", "ci", *PYTHON, "--local", "--fail")
    assert here.invoke(*check, "--locked").returncode == 0
    assert here.good("base.check", *PYTHON, "--fail").stdout.startswith("3.11: as locked: ")

    move("2")
    assert here.invoke(*check, "--locked").returncode == 0
    assert here.invoke(*check).returncode == 13
    done = here.invoke("base.check", *PYTHON, "--fail", "--json")
    assert (done.returncode, last(done.stderr)) == (13, "moved, or not locked: 3.11")
    (finding,) = json.loads(done.stdout)
    (platform,) = finding["platforms"]
    assert platform["changes"] == [
        {"name": "STEP", "before": "1", "now": "2"},
        {"name": "moved", "before": "1", "now": "2"},
    ]
    here.good("image.build", *PYTHON, "--locked", "--tag", "locked")
    here.good("image.build", *PYTHON, "--tag", "free")
    assert (here.root / "base.lock").read_text() == before
    names = here.engine("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    versions = {
        name.rpartition(":")[2]: here.engine("run", "--rm", name, "cat", "/version").strip()
        for name in names
        if f"/{tmp_path.name}/" in name
    }
    assert versions["locked"] == "Version: 1"
    assert versions["free"] == "Version: 2"

    here.good("base.update", *PYTHON)
    assert (here.root / "base.lock").read_text() != before
    assert here.good("base.check", *PYTHON, "--fail").stdout.startswith("3.11: as locked: ")
    assert here.invoke(*check, "--locked").returncode == 13
