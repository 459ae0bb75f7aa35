"""The table of settings."""

from __future__ import annotations

import pytest

from build_tasks.config import loading
from build_tasks.config.settings import FIELDS
from build_tasks.model.builder import Builder, Node


@pytest.mark.parametrize(
    ("key", "option", "variable"),
    [
        ("branch", "branch", "AIRFLOW_IMAGES_BRANCH"),
        ("ca-bundle", "ca-bundle", "AIRFLOW_IMAGES_CA_BUNDLE"),
        ("cache.mode", "cache-mode", "AIRFLOW_IMAGES_CACHE_MODE"),
        ("platform", "platform", "AIRFLOW_IMAGES_PLATFORM"),  # once `platforms`
        (
            "dependencies.apt-runtime",
            "dependencies-apt-runtime",
            "AIRFLOW_IMAGES_DEPENDENCIES_APT_RUNTIME",
        ),
    ],
)
def test_key_option_and_variable_are_one_name(key: str, option: str, variable: str) -> None:
    (field,) = (field for field in FIELDS if field.key == key)
    assert (field.name, field.variable) == (option, variable)


def test_every_setting_can_come_from_the_environment() -> None:
    variables = [item.variable for item in FIELDS]
    assert len(set(variables)) == len(variables)
    assert "AIRFLOW_IMAGES_DEPENDENCIES_APT_RUNTIME" in variables
    assert "AIRFLOW_IMAGES_PROD_SLIM_BUDGET" in variables


def test_settings_can_be_replaced_by_key() -> None:
    settings = loading.load(environment={})
    assert settings.replace({"cache.mode": "local"}).cache_mode == "local"
    assert settings.cache_mode == "registry"


def test_some_pythons_have_their_own_release_of_airflow() -> None:
    settings = loading.load(environment={})
    own = settings.replace({"airflow.version": "3.1", "airflow.versions": {"3.9": "3.0"}})
    assert (own.airflow_for("3.9"), own.airflow_for("3.11")) == ("3.0", "3.1")


def test_a_builder_that_is_not_configured_has_the_defaults() -> None:
    settings = loading.load(environment={}).replace({"builders": {"a": Builder("a")}})
    assert settings.builder_named("a") == Builder("a")
    assert settings.builder_named("b") == Builder("b", nodes=(Node("b0"),))
