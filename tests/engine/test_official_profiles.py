"""The profiles of the PROD image, and the Debian packages that extras bring."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from suite import Suite, last

from build_tasks.config import loading, profiles

BUILD = ("image.build", "--kind", "prod", "--python", "3.11")
#: Programs that the documentation of the official image promises, or that its examples run.
PROGRAMS = (
    *(
        "airflow",
        "curl",
        "dumb-init",
        "git",
        "gpg",
        "isql",
        "kinit",
        "klist",
        "ldapsearch",
        "locale",
    ),
    *("lsb_release", "mysql", "nc", "ping", "pip", "psql", "python", "rsync", "sqlite3", "ssh"),
    *("saslpasswd2", "sudo", "tsql", "uv", "wget"),
)
#: Modules that load libraries of Debian, by the extra that brings those.
MODULES = {"ldap": "ldap", "mysql": "MySQLdb", "odbc": "pyodbc"}


def sh(suite: Suite, name: str, script: str) -> str:
    return suite.engine("run", "--rm", name, "bash", "-euc", script).strip()


def made(suite: Suite, *options: str) -> str:
    """Build an image, and return its name."""
    return last(suite.good(*BUILD, *options).stderr).split()[2]


def providers(suite: Suite, name: str) -> set[str]:
    """Return the providers of an image by the names of their extras."""
    listed = json.loads(sh(suite, name, "airflow providers list --output json 2> /dev/null"))
    prefix = "apache-airflow-providers-"
    return {one["package_name"].removeprefix(prefix) for one in listed}


def packages(suite: Suite, name: str) -> set[str]:
    return set(sh(suite, name, "dpkg-query --show --showformat '${Package}\\n'").splitlines())


def test_the_default_image_has_what_the_official_one_has(suite: Suite) -> None:
    name = made(suite)
    script = (
        f'for name in {" ".join(PROGRAMS)}; do command -v "$name" > /dev/null || echo "$name"; done'
    )
    assert sh(suite, name, script) == ""
    settings = loading.load(environment={})
    assert set(profiles.programs(settings)) <= packages(suite, name)
    expected = set(profiles.official_extras("3.3.2", "a test"))
    # These name no provider.
    expected -= {
        "aiobotocore",
        "async",
        "google-auth",
        "graphviz",
        "ldap",
        "pandas",
        "statsd",
        "uv",
    }
    assert expected <= providers(suite, name)
    check_modules(suite, name, [*MODULES, "pandas", "statsd"])


def check_modules(suite: Suite, name: str, extras: Sequence[str]) -> None:
    imported = ", ".join(MODULES.get(extra, extra) for extra in extras)
    sh(suite, name, f"python -c 'import {imported}'")


def test_an_image_with_its_own_extras_has_their_debian_packages(suite: Suite) -> None:
    name = made(
        *(suite, "--airflow-extras", "ftp", "--airflow-extras-add", "odbc"),
        *("--prod-clients", "", "--tag", "few"),
    )
    assert {"ftp", "odbc"} <= providers(suite, name)
    assert "google" not in providers(suite, name)
    check_modules(suite, name, ["odbc"])
    found = packages(suite, name)
    assert {"unixodbc", "krb5-user"} <= found
    assert not {"libmariadb3", "postgresql-client"} & found


@pytest.mark.nightly
def test_a_java_extra_has_a_java_virtual_machine(suite: Suite) -> None:
    name = made(suite, "--airflow-extras", "jdbc", "--tag", "jdbc")
    assert "OpenJDK" in sh(suite, name, "java -version 2>&1")
    sh(suite, name, "python -c 'import jpype; jpype.startJVM()'")


@pytest.mark.nightly
def test_a_slim_image_has_none_of_the_programs(suite: Suite) -> None:
    name = made(suite, "--prod-profile", "slim")
    settings = loading.load(environment={})
    extra = {"libsasl2-modules", "wget"}  # other packages may have these
    assert not (set(profiles.programs(settings)) - extra) & packages(suite, name)
