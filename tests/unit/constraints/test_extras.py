"""The extras of the releases of Airflow."""

from __future__ import annotations

import re
from pathlib import Path

import projects
import pytest

from build_tasks import process
from build_tasks.config import loading, parsing, project
from build_tasks.constraints import constraint_files, extras
from build_tasks.constraints.resolver import Uv
from build_tasks.errors import NetworkError, UsageError
from build_tasks.model.matrix import ImageKind


@pytest.mark.parametrize("name", ["postgres", "cncf.kubernetes", "Common_SQL", "async"])
def test_extra_of_the_release_is_accepted(name: str) -> None:
    extras.check(loading.load({"airflow-extras": name}, environment={}), "3.11")


def test_unknown_extra_suggests_the_nearest() -> None:
    with pytest.raises(
        UsageError,
        match=r"^--airflow-extras: Airflow 3.3.2 has no extra 'postgress': did you mean postgres",
    ):
        extras.check(loading.load({"airflow-extras": "celery,postgress"}, environment={}), "3.11")
    with pytest.raises(UsageError, match=r"no extra 'zzzzzz': .*extras-3.0.6.txt has all$"):
        extras.check(loading.load({"airflow-extras": "zzzzzz"}, environment={}), "3.9")


def test_extras_of_an_unrecorded_release_are_not_checked() -> None:
    chosen = loading.load(
        {"airflow-extras": "zzzzzz"}, environment={"AIRFLOW_IMAGES_AIRFLOW_VERSION": "9.9.9"}
    )
    extras.check(chosen, "3.11")


def test_extras_of_a_release_are_recorded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "constraints").mkdir()
    monkeypatch.setattr(project, "SHIPPED", tmp_path / "none")
    (tmp_path / "images.toml").touch()
    monkeypatch.chdir(tmp_path)
    asked: list[tuple[str, ...]] = []

    def run(command: tuple[str, ...], **_: object) -> process.Completed:
        asked.append(command)
        folder = Path(command[command.index("--target") + 1]) / "apache_airflow-3.3.2.dist-info"
        if len(asked) > 1:
            folder.mkdir()
            text = "Name: x\nProvides-Extra: b\nProvides-Extra: a\n\nProvides-Extra: no\n"
            (folder / "METADATA").write_text(text)
        return process.Completed(command, len(asked) == 1, "", "error: no\n network")

    monkeypatch.setattr(process, "run", run)
    chosen, messages = loading.load(environment={}), list[str]()
    with pytest.raises(NetworkError, match=r"^the extras of Airflow 3.3.2: error: no network$"):
        extras.refresh("3.11", chosen, Uv({}), announce=messages.append)
    for _ in range(2):
        extras.refresh("3.11", chosen, Uv({}), announce=messages.append)
    assert messages == ["constraints/extras-3.3.2.txt: 2 extras"]
    assert constraint_files.lines(tmp_path / "constraints/extras-3.3.2.txt") == ["a", "b"]
    assert len(asked) == 2
    assert asked[0][-1] == "apache-airflow==3.3.2"


def test_every_release_of_the_matrix_has_recorded_extras() -> None:
    chosen = loading.load(environment={})
    for python in chosen.pythons:
        assert extras.path(chosen.project, chosen.airflow_for(python)).exists()


def debian(kind: ImageKind = ImageKind.PROD, **options: str) -> dict[str, tuple[str, ...]]:
    """Return the Debian packages that the extras of an image need."""
    settings = loading.load(
        {name.replace("_", "-"): text for name, text in options.items()}, environment={}
    )
    found = extras.debian_packages(settings, kind, "3.11", "3.3.2")
    return {one.extra: one.build + one.runtime for one in found}


def test_extras_bring_their_debian_packages() -> None:
    assert debian() == {
        "ldap": ("ldap-utils", "libsasl2-modules"),
        "mysql": ("libmariadb3",),
        "odbc": ("unixodbc",),
    }
    assert debian(ImageKind.CI) == debian(prod_profile="slim") == {}
    added = debian(airflow_extras="http", airflow_extras_add="JDBC,apache_cassandra")
    assert added == {"jdbc": ("default-jre-headless",), "apache-cassandra": ("libev-dev", "libev4")}


@pytest.mark.parametrize(
    "requirement", ["apache-airflow-providers-odbc>=4", "apache_airflow[ftp,odbc]==3.3.2"]
)
def test_so_do_providers_and_extras_that_requirements_name(requirement: str) -> None:
    for kind in ImageKind:
        found = debian(kind, airflow_extras="ftp", dependencies_python=requirement)
        assert found == {"odbc": ("unixodbc",)}


def test_the_table_of_debian_packages_has_extras_of_the_releases() -> None:
    known = {
        name
        for airflow in ("3.0.6", "3.3.2")
        for name in constraint_files.lines(extras.path(projects.OWN, airflow))
    }
    for extra, packages in extras._table().items():
        assert extra in known
        assert packages["runtime"]
        assert packages.keys() <= {"build", "runtime"}
        for name in (name for names in packages.values() for name in names):
            assert parsing.apt_package(name, extra) == name


def test_the_extra_with_all_others_brings_what_they_need() -> None:
    found = debian(airflow_extras="all")["all"]
    others = (packages for extra, packages in extras._table().items() if extra != "all")
    assert {*found} == {
        name for packages in others for names in packages.values() for name in names
    }
    assert (
        debian(airflow_extras="all-core")["all-core"]
        == debian(airflow_extras="kerberos")["kerberos"]
    )


def test_the_documentation_has_that_table() -> None:
    text = (project.SHIPPED / "docs/prod.md").read_text()
    table = text.partition("### Debian packages of extras")[2].partition("\n## ")[0]
    found: dict[str, set[str]] = {}
    for line in table.splitlines():
        if line.startswith("| `"):
            of, packages = (re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:3])
            found |= {extra: {*packages} for extra in of}
    assert found == {
        extra: {name for names in packages.values() for name in names}
        for extra, packages in extras._table().items()
    }
