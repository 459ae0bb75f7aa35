from __future__ import annotations

from dataclasses import replace

import pytest

from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.config.settings import Settings
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.verify import lookup
from build_tasks.verify.target import Image

PROD = Build(ImageKind.PROD, "3.9", Platform.AMD64)
CI = Build(ImageKind.CI, "3.9", Platform.AMD64)
IMAGE = Image("i", {"Config": {"Labels": {"org.apache.airflow.version": "3.4.0"}}})


def loaded(**options: object) -> Settings:
    return loading.load({name.replace("_", "-"): text for name, text in options.items()})


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("prod-3.11", {"kind": "prod", "python": "3.11", "prod-slim": False}),
        ("ci-3.9-arm64", {"kind": "ci", "python": "3.9", "platform": "arm64", "prod-slim": False}),
        ("prod-slim-3.14", {"kind": "prod", "python": "3.14", "prod-slim": True}),
    ],
)
def test_an_identity_selects_a_build(identity: str, expected: dict[str, object]) -> None:
    given = lookup.expand_identity(Options({"image": identity, "tag": "x"})).given
    assert {name: value for name, value in given.items() if value is not None} == {
        **expected,
        **({"prod-slim": True} if "slim" in identity else {}),
        "tag": "x",
    }


@pytest.mark.parametrize("name", ["prod-3.11:latest", "prod", "r/prod-3.11", "prod-2.7", "", None])
def test_any_other_name_is_an_image(name: str | None) -> None:
    options = Options({"image": name})
    assert lookup.expand_identity(options) is options


def test_slim_beside_an_identity_counts() -> None:
    assert lookup.expand_identity(Options({"image": "prod-3.11", "prod-slim": True})).flag(
        "prod-slim"
    )


def test_ci_uses_the_constraints_of_the_suite() -> None:
    own = loaded(constraints_location="x", constraints_mode="constraints-no-providers")
    assert lookup._for_kind(own, PROD) is own
    ci = lookup._for_kind(own, CI)
    assert (ci.constraints_mode, ci.constraints_location) == ("constraints", "")


def test_the_airflow_version_is_that_of_the_settings_or_of_the_label() -> None:
    assert lookup._airflow(loaded(), PROD, IMAGE) == "3.0.6"
    assert lookup._airflow(loaded(airflow_from="wheels"), PROD, IMAGE) == "3.4.0"
    assert lookup._airflow(loaded(airflow_from="wheels"), CI, IMAGE) == "3.0.6"


def test_the_test_toolchain_is_in_ci_only() -> None:
    own = loaded(dependencies_python="pandas")
    assert lookup._packages(own, PROD) == ("pandas",)
    assert lookup._packages(own, CI) == ("pandas", *own.ci_test_packages)


def test_each_image_has_its_budget() -> None:
    own = loaded()
    assert lookup._budget(own, CI) == own.ci_budget == 2600
    assert lookup._budget(own, PROD) == own.prod_budget
    assert lookup._budget(own, replace(PROD, slim=True)) == own.prod_slim_budget
