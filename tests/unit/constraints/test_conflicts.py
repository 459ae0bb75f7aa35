"""Additional requirements against the constraints."""

from __future__ import annotations

import pytest

from build_tasks.constraints import conflicts
from build_tasks.constraints.conflicts import Constraints
from build_tasks.constraints.requirement_files import Requirement
from build_tasks.errors import DependencyError

PINNED = Constraints(
    "constraints/constraints-3.11.txt",
    (
        *("SQLAlchemy==2.0.48", "pandas>=2", "rc==1.0rc1", "apache-airflow==3.3.2"),
        *("old==1; python_version < '3.10'", "arm==1; platform_machine == 'aarch64'"),
    ),
    "3.3.2",
    "require another version, or run: nox -s constraints-3.11",
)


def check(text: str) -> None:
    conflicts.check([Requirement("requirements.txt:3", text)], PINNED, "3.11")


@pytest.mark.parametrize(
    "text",
    [
        *("free==1", "sqlalchemy", "sqlalchemy>=2,<3", "sqlalchemy==2.*", "pandas<2", "rc"),
        *("old==2", "arm==2", "apache_airflow==3.3.2", "apache-airflow[celery]>=3"),
        *("sqlalchemy<2; python_version < '3.10'", "sqlalchemy<2; platform_machine == 'aarch64'"),
        *("sqlalchemy<2; python_full_version >= '3.11.5'", "sqlalchemy @ https://h/x.whl"),
    ],
)
def test_what_the_pins_allow_or_only_the_step_knows_passes(text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SQLAlchemy<2", "SQLAlchemy<2"),
        ("sqlalchemy[asyncio]==1.4.54", "sqlalchemy[asyncio]==1.4.54"),
        (
            "sqlalchemy<2; python_version>='3.11' and sys_platform=='linux'",
            'sqlalchemy<2; python_version >= "3.11" and sys_platform == "linux"',
        ),
    ],
)
def test_a_conflict_names_the_requirement_and_the_pin(text: str, shown: str) -> None:
    with pytest.raises(DependencyError) as caught:
        check(text)
    assert str(caught.value) == (
        f"requirements.txt:3: {shown} excludes sqlalchemy 2.0.48, which "
        "constraints/constraints-3.11.txt pins: require another version, or run: nox -s "
        "constraints-3.11"
    )
    assert caught.value.exit_code == 8


def test_airflow_stays_at_its_release() -> None:
    with pytest.raises(DependencyError) as caught:
        check("apache-airflow==3.2.0")
    assert str(caught.value) == (
        "requirements.txt:3: apache-airflow==3.2.0 is not Airflow 3.3.2, which is installed: "
        "airflow.version in images.toml selects another"
    )


def test_airflow_is_not_replaced_by_what_an_address_has() -> None:
    with pytest.raises(DependencyError) as caught:
        check("apache-airflow[google] @ https://h/apache_airflow-3.3.2-py3-none-any.whl")
    assert str(caught.value) == (
        "requirements.txt:3: apache-airflow[google] @ "
        "https://h/apache_airflow-3.3.2-py3-none-any.whl is not Airflow 3.3.2, which is installed: "
        "airflow.from in images.toml selects another"
    )


def test_pins_that_sources_exclude_are_found_with_the_first_who_does() -> None:
    pins = {
        "old": "1.0",
        "sqlalchemy": "2.0.48",
        "arm": "1",
        "rc": "1.0rc1",
        "free": "1",
        "other-python": "1",
        "both-ways": "1",
        "windows": "1",
    }
    wanted = [
        Requirement("airflow-core/pyproject.toml: dependencies", text)
        for text in (
            *("SQLAlchemy[asyncio]>=2", "rc", "unpinned>9", "free>=1", "Both.Ways==2"),
            *("other_python>1; python_version < '3.11'", "windows>1; sys_platform == 'win32'"),
        )
    ] + [
        Requirement("task-sdk/pyproject.toml: group dev", text)
        for text in ("old>=2", "arm>1; platform_machine == 'aarch64'", "both-ways>1", "rc>1")
    ]
    assert conflicts.excluded(pins, wanted, "3.11") == [
        ("arm==1", ("task-sdk/pyproject.toml: group dev", "arm>1; platform_machine == 'aarch64'")),
        ("both-ways==1", ("airflow-core/pyproject.toml: dependencies", "Both.Ways==2")),
        ("old==1.0", ("task-sdk/pyproject.toml: group dev", "old>=2")),
        ("rc==1.0rc1", ("task-sdk/pyproject.toml: group dev", "rc>1")),
    ]


def test_the_first_requirement_of_a_package_counts() -> None:
    texts = ("a>=2; python_version < '3.11'", "A.b>=1", "a>=3", "a-b>=2", "arm; os_name == 'nt'")
    wanted = [Requirement(f"line {number}", text) for number, text in enumerate(texts, 1)]
    assert conflicts.by_name(wanted, "3.11") == {"a": wanted[2], "a-b": wanted[1]}


def test_requirements_without_a_version_are_found() -> None:
    lines = ["pandas==2.0", "My_Package>=1"]
    wanted = (
        *("pandas>=2", "my.package", "free", "loose>=1,<2", "star==1.*", "pinned==1.0"),
        *("marked; python_version == '3.11'", "here @ https://h/x.whl", "exact===1"),
        *("arm; platform_machine == 'aarch64'", "pywin32; sys_platform == 'win32'"),
        "backport; python_version < '3.11'",
    )
    assert conflicts.unpinned(wanted, lines, "3.11") == [
        *("free", "loose>=1,<2", "star==1.*", "marked; python_version == '3.11'"),
        "arm; platform_machine == 'aarch64'",
    ]
