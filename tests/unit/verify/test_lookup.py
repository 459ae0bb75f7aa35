from __future__ import annotations

import pytest

from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.config.settings import Settings
from build_tasks.model.matrix import ImageKind
from build_tasks.verify import lookup
from build_tasks.verify.target import Said

PROD = Said(ImageKind.PROD, "3.9", "3.4.0", False)
CI = Said(ImageKind.CI, "3.9", "3.4.0", False)


def chosen(**options: object) -> Settings:
    return loading.load({name.replace("_", "-"): text for name, text in options.items()})


@pytest.mark.parametrize(
    ("identity", "meant"),
    [
        ("prod-3.11", {"kind": "prod", "python": "3.11", "prod-slim": False}),
        ("ci-3.9-arm64", {"kind": "ci", "python": "3.9", "platform": "arm64", "prod-slim": False}),
        ("prod-slim-3.14", {"kind": "prod", "python": "3.14", "prod-slim": True}),
    ],
)
def test_an_identity_means_a_build(identity: str, meant: dict[str, object]) -> None:
    given = lookup.spelt_out(Options({"image": identity, "tag": "x"})).given
    assert {name: value for name, value in given.items() if value is not None} == {
        **meant,
        **({"prod-slim": True} if "slim" in identity else {}),
        "tag": "x",
    }


@pytest.mark.parametrize("name", ["prod-3.11:latest", "prod", "r/prod-3.11", "prod-2.7", "", None])
def test_any_other_name_is_an_image(name: str | None) -> None:
    options = Options({"image": name})
    assert lookup.spelt_out(options) is options


def test_slim_beside_an_identity_counts() -> None:
    assert lookup.spelt_out(Options({"image": "prod-3.11", "prod-slim": True})).flag("prod-slim")


def test_ci_follows_the_whole_file_whatever_prod_does() -> None:
    own = chosen(constraints_location="x", constraints_mode="constraints-no-providers")
    assert lookup._settings(own, PROD) is own
    ci = lookup._settings(own, CI)
    assert (ci.constraints_mode, ci.constraints_location) == ("constraints", "")


def test_the_release_is_the_settings_or_what_sources_made() -> None:
    assert lookup._airflow(chosen(), PROD) == "3.0.6"
    assert lookup._airflow(chosen(airflow_from="wheels"), PROD) == "3.4.0"
    assert lookup._airflow(chosen(airflow_from="wheels"), CI) == "3.0.6"


def test_the_test_toolchain_is_in_ci_only() -> None:
    asked = chosen(dependencies_python="pandas")
    assert lookup._packages(asked, PROD) == ("pandas",)
    assert lookup._packages(asked, CI) == ("pandas", *asked.ci_test_packages)


def test_each_image_has_its_budget() -> None:
    own = chosen()
    assert lookup._budget(own, ImageKind.CI, slim=False) == own.ci_budget == 2600
    assert lookup._budget(own, ImageKind.PROD, slim=False) == own.prod_budget
    assert lookup._budget(own, ImageKind.PROD, slim=True) == own.prod_slim_budget
