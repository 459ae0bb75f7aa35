from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import checkouts
import projects
import pytest

from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files
from build_tasks.errors import UsageError
from build_tasks.model.build import Secret
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.model.own_image import OwnImage
from build_tasks.plan import airflow_source, step_secrets
from build_tasks.text.redaction import redact
from build_tasks.verify import lookup
from build_tasks.verify.target import Image, Target

PROD = Build(ImageKind.PROD, "3.9", Platform.AMD64)
CI = Build(ImageKind.CI, "3.9", Platform.AMD64)
IMAGE = Image("i", {"Config": {"Labels": {"org.apache.airflow.version": "3.4.0"}}})


def loaded(**options: object) -> Settings:
    return loading.load({name.replace("_", "-"): text for name, text in options.items()})


def own(*images: OwnImage) -> Settings:
    """Return settings with own images."""
    names = ("dags", "dags-slim", "dags-3", "x-amd64")
    images = images or tuple(OwnImage(name) for name in names)
    return loaded().replace({"images": {image.name: image for image in images}})


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("prod-3.11", {"kind": "prod", "python": "3.11"}),
        ("ci-3.9-arm64", {"kind": "ci", "python": "3.9", "platform": "arm64"}),
        ("prod-slim-3.14", {"kind": "prod", "python": "3.14", "prod-profile": "slim"}),
        ("dags-3.11", {"kind": "dags", "python": "3.11"}),
        ("dags-3-3.11", {"kind": "dags-3", "python": "3.11"}),
        ("x-amd64-3.11-arm64", {"kind": "x-amd64", "python": "3.11", "platform": "arm64"}),
        ("dags-slim-3.11-amd64", {"kind": "dags-slim", "python": "3.11", "platform": "amd64"}),
    ],
)
def test_an_identity_selects_a_build(identity: str, expected: dict[str, object]) -> None:
    given = lookup.expand_identity(Options({"image": identity, "tag": "x"}), own()).given
    assert {name: value for name, value in given.items() if value is not None} == {
        **expected,
        "tag": "x",
    }


@pytest.mark.parametrize(
    "name",
    [
        "prod-3.11:latest",
        "prod",
        "r/prod-3.11",
        "other-3.11",
        "prod-2.7",
        "",
        None,
    ],
)
def test_any_other_name_is_an_image(name: str | None) -> None:
    options = Options({"image": name})
    assert lookup.expand_identity(options, own()) is options


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("prd-3.11", "prod-3.11"),
        ("prodd-3.11-amd64", "prod-3.11-amd64"),
        ("prod-slm-3.9", "prod-slim-3.9"),
        ("x-amd64-slim-3.11", "x-amd64-3.11"),
    ],
)
def test_a_misspelt_identity_is_named_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        lookup.expand_identity(Options({"image": name}), own())
    assert str(caught.value) == f"unknown image '{name}': did you mean {near}?"


def test_slim_beside_an_identity_counts() -> None:
    given = Options({"image": "prod-3.11", "prod-profile": "slim"})
    assert lookup.expand_identity(given, own()).text("prod-profile") == "slim"


def expected(build: Build, **options: object) -> Target:
    settings = loaded(**options)
    secrets = (Secret("ca-bundle", Path("/ca")), *step_secrets.secrets(settings))
    host = SimpleNamespace(client=None, secrets=secrets, contexts=(), settings=settings)
    return lookup._target(host, IMAGE, build, "base")  # type: ignore[arg-type]  # all of a host that it uses


def test_ci_uses_the_constraints_of_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_source, "_copy_constraints", lambda *_: Path("copy.txt"))
    own = {"constraints_location": "x", "constraints_mode": "constraints-no-providers"}
    assert expected(PROD, **own).constraints == Path("copy.txt")
    assert expected(CI, **own).constraints == constraint_files.path(
        projects.OWN, "3.9", "constraints"
    )


def test_the_airflow_version_is_that_of_the_settings_or_of_the_label() -> None:
    assert expected(PROD).airflow == "3.0.6"
    assert expected(PROD, airflow_from="wheels").airflow == "3.4.0"
    assert expected(CI, airflow_from="wheels").airflow == "3.0.6"


def test_the_test_toolchain_is_in_ci_only() -> None:
    assert expected(PROD, dependencies_python="pandas").packages == ("pandas",)
    tests = loaded().ci_test_packages
    assert expected(CI, dependencies_python="pandas").packages == ("pandas", *tests)


def test_a_ci_image_of_a_checkout_has_what_the_checkout_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkouts.write(
        tmp_path,
        {
            "airflow-core/pyproject.toml": checkouts.CORE,
            "task-sdk/pyproject.toml": checkouts.SDK,
            "task-sdk/src/airflow/sdk/__init__.py": '__version__ = "1.3.2"\n',
        },
    )
    monkeypatch.setattr(lookup, "_services", lambda *_: None)
    settings = loaded(ci_from=str(tmp_path)).replace({"ci.extras": (), "ci.test-packages": ("y",)})
    host = SimpleNamespace(client=None, settings=settings)
    build = replace(CI, python="3.11")
    found = lookup._of_checkout(host, IMAGE, build, "base", lambda _: None)  # type: ignore[arg-type]
    assert (found.airflow, found.extras, found.checkout) == ("3.3.2", (), True)
    assert found.packages == (
        *("apache-airflow-core", "apache-airflow-task-sdk"),
        *("apache-airflow-core[all]", "pytest>=8", "rich", "y"),
    )
    assert not [
        line for line in constraint_files.lines(found.constraints) if "airflow-core" in line
    ]


def test_an_image_without_its_checkout_cannot_be_verified(tmp_path: Path) -> None:
    settings = loaded(ci_from=str(tmp_path), sources="mount")
    host = SimpleNamespace(client=None, settings=settings)
    with pytest.raises(UsageError, match=r"^--sources: .* no Airflow to verify"):
        lookup._of_checkout(host, IMAGE, CI, "base", lambda _: None)  # type: ignore[arg-type]


def test_each_image_has_its_budget() -> None:
    own = loaded()
    assert expected(CI).budget == own.ci_budget == 2600
    assert expected(PROD).budget == own.prod_budget
    slim = expected(replace(PROD, slim=True))
    assert (slim.budget, slim.extras) == (own.prod_slim_budget, ())


def test_the_passwords_of_apt_must_be_there_and_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"plain": "env:X", "apt-auth": "env:TESTS_APT"}
    with pytest.raises(UsageError, match="the variable TESTS_APT of apt-auth is not set"):
        expected(PROD, build_secrets=places)
    monkeypatch.setenv("TESTS_APT", "machine h login me password pw-9431-canary")
    assert expected(PROD, build_secrets=places).services.secrets[1].id == "apt-auth"
    assert "canary" not in redact("password is pw-9431-canary")


def test_the_services_come_from_where_debian_packages_of_images_do() -> None:
    services = expected(PROD).services
    assert (services.arguments, services.contexts) == ((("BASE_IMAGE", "base"),), ())
    assert services.secrets == (Secret("ca-bundle", Path("/ca")),)
    services = expected(PROD, apt_mirror="https://h/debian", http_proxy="http://p:1").services
    assert dict(services.arguments)["HTTP_PROXY"] == "http://p:1"
    assert services.contexts == ()
    script = services.secrets[1]
    assert script.id == "apt"
    assert script.file
    assert "apt_mirror=https://h/debian\n" in script.file.read_text()
