"""Packages that declarative own images add, on small images in the place of Airflow's."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
import teams
from archives import wheel
from suite import ROOT, Suite, last
from uv import find_uv_bin

from build_tasks.engine import emulation

SETTINGS = """\
[index]
find-links = "wheels"
offline = true

[images.lower]
python = ["corp-tool"]
apt = ["tree"]

[images.greedy]
python = ["greedy"]

[images.unfit]
from = "lower"
python = ["helper==2.0"]

[images.tests]
from = "ci"
python = ["corp-tool"]
"""
#: A small image in the place of Airflow's, with an Airflow that is only a name and a version.
AIRFLOW = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN <<EOF
apt-get -o Acquire::Retries=7 update
apt-get -o Acquire::Retries=7 install --yes --no-install-recommends python3-venv
useradd --uid 50000 --gid 0 --create-home airflow
install --directory --owner 50000 --group 0 --mode 0775 /opt/venv
EOF
ENV HOME=/home/airflow VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:${PATH}
COPY sources/ /sources/
USER 50000
"""
PIP = """\
RUN python3 -m venv /opt/venv && python -m pip install --no-index /sources/*.whl
RUN printf 'apache-airflow==9.9.9\\npinned==1.0\\n' > /home/airflow/constraints.txt
"""
#: As in the CI image, the environment has no pip; what is installed has to stay.
UV = """\
RUN python3 -m venv --without-pip /opt/venv && cp /sources/uv /opt/venv/bin
RUN uv pip install --no-index /sources/*.whl /sources/more/*.whl
"""
BUILD = ("image.build", "--python", "3.11", "--retries", "0")
FIND = "from importlib.metadata import version as v; print(*map(v, __import__('sys').argv[1:]))"

pytestmark = pytest.mark.skipif(not emulation.native("amd64"), reason="names amd64 images")


@pytest.fixture(scope="module")
def team(suite: Suite, base: str, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """A project whose images are built."""
    folder = teams.make(tmp_path_factory.mktemp("own") / "team", SETTINGS)
    (folder / "Dockerfile").write_text(AIRFLOW + PIP)
    (folder / "Dockerfile.ci").write_text(f"{AIRFLOW}{UV}USER airflow:root\n")
    (folder / "sources").mkdir()
    wheel(folder / "sources/apache_airflow-9.9.9-py3-none-any.whl")
    wheel(folder / "sources/more/pinned-1.0-py3-none-any.whl")
    (folder / "sources/uv").write_bytes(Path(find_uv_bin()).read_bytes())
    (folder / "sources/uv").chmod(0o755)
    for version in ("1.0", "2.0"):
        wheel(folder / f"wheels/pinned-{version}-py3-none-any.whl")
        wheel(folder / f"wheels/helper-{version}-py3-none-any.whl")
    wheel(folder / "wheels/corp_tool-2.0-py3-none-any.whl", requires=("pinned", "helper<2"))
    wheel(folder / "wheels/apache_airflow-10.0-py3-none-any.whl")
    wheel(folder / "wheels/greedy-1.0-py3-none-any.whl", requires=("apache-airflow>=10",))
    team = suite.at(folder).having(
        AIRFLOW_IMAGES_BASE_IMAGE=base,
        AIRFLOW_IMAGES_REPOSITORY=f"tests/packages-{secrets.token_hex(4)}",
        PYTHONPATH=str(ROOT),
    )
    team.good(*BUILD, "--kind", "lower,tests")
    return team


def reference(team: Suite, name: str) -> str:
    rows = json.loads(team.good("matrix", "--json").stdout)["include"]
    return next(f"{row['image']}:latest" for row in rows if row["kind"] == name)


@pytest.fixture(scope="module")
def lower(team: Suite) -> str:
    return reference(team, "lower")


def said(team: Suite, image: str, *command: str, options: tuple[str, ...] = ()) -> list[str]:
    return team.engine("run", "--rm", *options, image, *command).splitlines()


def test_packages_are_installed_and_what_constraints_name_stays(team: Suite, lower: str) -> None:
    for image in (lower, reference(team, "tests")):
        names = ("apache-airflow", "corp-tool", "pinned")
        assert said(team, image, "python", "-c", FIND, *names) == ["9.9.9 2.0 1.0"]
    assert said(team, lower, "which", "tree") == ["/usr/bin/tree"]
    script = "find /opt/venv -name 'corp_tool*' -printf '%u %g %m\n'; id --user"
    for image in (lower, reference(team, "tests")):  # whose user has a number or a name
        assert said(team, image, "bash", "-c", script) == ["airflow root 775", "50000"]


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("greedy", 8, "no versions fit together: "),  # it wants another Airflow
        ("unfit", 10, "corp-tool 2.0 has requirement helper<2, but you have helper 2.0."),
    ],
)
def test_packages_that_do_not_fit_fail_the_build(
    team: Suite, name: str, code: int, reason: str
) -> None:
    done = team.invoke(*BUILD, "--kind", name)
    assert done.returncode == code, done.stderr
    assert last(done.stderr).startswith(f"{name}-3.11-amd64: {reason}")


def test_an_image_on_top_may_install_packages_with_pip(
    team: Suite, lower: str, tmp_path: Path
) -> None:
    late = wheel(tmp_path / "late-1.0-py3-none-any.whl")
    mounted = ("--volume", f"{late}:/tmp/{late.name}")
    script = "pip install --quiet --no-index /tmp/*.whl && pip check"
    assert said(team, lower, "bash", "-c", script, options=mounted) == [
        "No broken requirements found."
    ]
