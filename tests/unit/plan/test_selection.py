"""Which images options select."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.errors import UsageError
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.plan import selection
from build_tasks.plan.selection import Image


def select(**options: str | bool | list[str] | None) -> list[Image]:
    given = Options({name.replace("_", "-"): value for name, value in options.items()})
    return selection.select(given, given.settings())


def test_each_kind_is_selected_for_each_python_once() -> None:
    assert select(kind="prod,ci,prod", python="3.11,3.12,3.11", prod_profile="slim") == [
        Image(ImageKind.PROD, "3.11", slim=True),
        Image(ImageKind.PROD, "3.12", slim=True),
        Image(ImageKind.CI, "3.11", slim=False),
        Image(ImageKind.CI, "3.12", slim=False),
    ]


def test_the_default_is_the_ci_image() -> None:
    (image,) = select(python="3.11")
    assert image.build(Platform.ARM64) == Build(ImageKind.CI, "3.11", Platform.ARM64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--python: name one or more of 3.9, 3.10, 3.11"),
        ({"python": "3.8"}, "--python: unknown Python '3.8': choose 3.9, "),
        ({"python": "3.11", "kind": "dev"}, "--kind: unknown image 'dev': choose ci, prod"),
        ({"python": "3.11", "prod_profile": "slim"}, "--prod-profile: is for the PROD image only"),
        (
            {"python": "3.11", "airflow_from": "wheels"},
            "--airflow-from: is for the PROD image only",
        ),
        (
            {"python": "3.11", "kind": "prod", "prod_profile": "slim", "prod_clients": "mysql"},
            "--prod-clients: the profile slim (--prod-profile) has none: leave one of them out",
        ),
        (
            {"python": "3.11", "kind": "prod", "prod_profile": "slim", "airflow_extras": "ftp"},
            "--airflow-extras: the profile slim (--prod-profile) has none: leave one of them out",
        ),
        (
            {"python": "3.11", "airflow_extras": "postgress"},
            "--airflow-extras: Airflow 3.3.2 has no extra 'postgress': did you mean postgres",
        ),
    ],
)
def test_a_mistake_is_one_line(options: dict[str, str | bool], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(**options)
    assert str(caught.value).startswith(message)


def test_extras_may_be_meant_for_a_ci_image_beside_a_slim_one() -> None:
    assert (
        len(select(python="3.11", kind="ci,prod", prod_profile="slim", airflow_extras="ftp")) == 2
    )


def test_the_constraints_of_a_ci_image_are_those_of_its_release() -> None:
    given = Options({"python": "3.11"})
    settings = loading.load(environment={"AIRFLOW_IMAGES_AIRFLOW_VERSION": "9.9.9"})
    with pytest.raises(
        UsageError, match=r"constraints-3\.11\.txt: has Airflow 3\.3\.2, not 9\.9\.9"
    ):
        selection.select(given, settings)


def test_other_sources_may_have_other_extras() -> None:
    (image,) = select(python="3.11", kind="prod", airflow_from="wheels", airflow_extras="zzz")
    assert image.kind is ImageKind.PROD


def test_a_single_image_is_selected() -> None:
    def one(**options: str) -> Image:
        return selection.select_one(Options(options), Options(options).settings())

    assert one(python="3.11") == Image(ImageKind.CI, "3.11", slim=False)
    with pytest.raises(UsageError, match=r"^--python: one at a time: 3.11,3.12$"):
        one(python="3.11,3.12")
    with pytest.raises(UsageError, match=r"^--kind: one at a time: ci,prod$"):
        one(python="3.11", kind="ci,prod")


IMAGES = """
pythons = ["3.11", "3.12"]
[images.site]
from = "dags"
[images.dags]
[images.tests]
from = "ci"
"""


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images.toml").write_text(IMAGES)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("team")
def test_own_images_have_the_kind_of_what_they_stand_on() -> None:
    assert select(kind="site,tests", python="3.11", prod_profile="slim") == [
        Image(ImageKind.PROD, "3.11", slim=False, name="site"),
        Image(ImageKind.CI, "3.11", slim=False, name="tests"),
    ]


@pytest.mark.usefixtures("team")
def test_bases_come_before_what_stands_on_them() -> None:
    given = Options({"kind": "site,tests", "python": "3.12", "prod-profile": "slim"})
    images = selection.with_bases(selection.select(given, given.settings()), given.settings())
    identities = [image.build(Platform.AMD64).identity for image in images]
    assert identities == [
        *("prod-slim-3.12-amd64", "dags-3.12-amd64", "site-3.12-amd64"),
        *("ci-3.12-amd64", "tests-3.12-amd64"),
    ]


@pytest.mark.usefixtures("team")
def test_an_unknown_image_is_one_line_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="--kind: unknown image 'dag': did you mean dags"):
        select(kind="dag", python="3.11")
