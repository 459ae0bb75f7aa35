"""What the settings choose for an image."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest

from build_tasks.config import loading, profiles
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files, extras
from build_tasks.errors import UsageError
from build_tasks.model.matrix import ImageKind

CI, PROD = ImageKind


def chosen(
    text: str = "", options: dict[str, str] | None = None, *, file: Path, **environment: str
) -> Settings:
    file.write_text(text)
    variables = {f"AIRFLOW_IMAGES_{name}": value for name, value in environment.items()}
    return loading.load(options or {}, environment=variables, file=file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "images.toml"


@pytest.mark.parametrize("airflow", ["3.0.6", "3.3.2"])
def test_the_release_has_all_official_extras(airflow: str) -> None:
    known = constraint_files.lines(extras.path(projects.OWN, airflow))
    official = profiles.official_extras(airflow, "a test")
    assert {"celery", "fab", "google", "odbc"} < set(official) <= set(known)
    assert ("opensearch" in official) == (airflow == "3.3.2")
    assert [*official] == sorted(set(official))


@pytest.mark.parametrize(("airflow", "number"), [("3.1.5", 33), ("3.3.0rc1", 34), ("4.0.0", 34)])
def test_a_release_has_the_extras_of_the_last_one_that_is_known(airflow: str, number: int) -> None:
    assert len(profiles.official_extras(airflow, "a test")) == number


def test_an_older_release_needs_extras_of_the_projects(file: Path) -> None:
    old = chosen('[airflow]\nversion = "2.10.5"', file=file)
    with pytest.raises(UsageError) as caught:
        profiles.extras(old, PROD, "2.10.5")
    assert str(caught.value) == (
        "prod.profile: the extras of the official image of Airflow 2.10.5 are not known, only "
        "those from Airflow 3.0 on: set airflow.extras"
    )
    own = chosen('[airflow]\nextras = ["http"]', file=file)
    assert profiles.extras(own, PROD, "2.10.5") == (("images.toml: airflow.extras", "http"),)


def test_what_an_image_or_sources_say_may_be_no_version() -> None:
    with pytest.raises(UsageError, match=r"^a test: expected a version like 3\.3\.2, got 'main'$"):
        profiles.official_extras("main", "a test")


def test_without_settings_both_images_have_the_official_extras(file: Path) -> None:
    settings = chosen(file=file)
    official = profiles.official_extras("3.3.2", "a test")
    for kind in ImageKind:
        assert profiles.names(profiles.extras(settings, kind, "3.3.2")) == official
    assert profiles.clients(settings) == ("postgres", "mysql", "mssql")
    assert {"krb5-user", "sudo"} < set(profiles.programs(settings))


def test_without_settings_versions_are_excluded_that_official_extras_do_not_work_with(
    file: Path,
) -> None:
    assert "sqlalchemy<2.1" in chosen(file=file).constraints_limits


def test_a_list_of_the_projects_replaces_the_official_one_even_if_it_is_empty(file: Path) -> None:
    for text, names in (('["ftp", "http"]', ("ftp", "http")), ("[]", ())):
        settings = chosen(f"[airflow]\nextras = {text}", file=file)
        for kind in ImageKind:
            assert profiles.names(profiles.extras(settings, kind, "3.3.2")) == names
    assert profiles.clients(chosen("[prod]\nclients = []", file=file)) == ()


def test_extras_are_added_to_each_list_once(file: Path) -> None:
    text = '[airflow]\nextras-add = ["trino", "ftp"]\n[ci]\nextras = ["http"]'
    settings = chosen(text, file=file)
    official = profiles.official_extras("3.3.2", "a test")
    added = profiles.extras(settings, PROD, "3.3.2")
    assert profiles.names(added) == (*official, "trino")
    assert added[-1][0] == "images.toml: airflow.extras-add"
    assert profiles.names(profiles.extras(settings, CI, "3.3.2")) == ("http", "trino", "ftp")


def test_a_slim_image_has_nothing_whatever_else_is_set(file: Path) -> None:
    text = '[airflow]\nextras = ["ftp"]\nextras-add = ["trino"]\n[prod]\nclients = ["mysql"]'
    settings = chosen(text, {"prod-profile": "slim"}, file=file)
    assert profiles.extras(settings, PROD, "3.3.2") == ()
    assert (profiles.clients(settings), profiles.programs(settings)) == ((), ())
    assert profiles.names(profiles.extras(settings, CI, "3.3.2")) == ("ftp", "trino")


def test_the_extras_of_ci_yield_to_those_of_a_command_or_a_variable(file: Path) -> None:
    text = '[airflow]\nextras = ["ftp"]\n[ci]\nextras = ["http"]'
    ssh = {"airflow-extras": "ssh"}
    for settings, names in (
        (chosen(text, file=file), ("http",)),
        (chosen(text, ssh, file=file), ("ssh",)),
        (chosen(text, AIRFLOW_EXTRAS="ssh", file=file), ("ssh",)),
        (chosen(text, ssh, CI_EXTRAS="imap", file=file), ("ssh",)),
        (chosen(text, AIRFLOW_EXTRAS="ssh", CI_EXTRAS="imap", file=file), ("imap",)),
    ):
        assert profiles.names(profiles.extras(settings, CI, "3.3.2")) == names


def test_a_wrong_profile_is_one_line(file: Path) -> None:
    with pytest.raises(UsageError) as caught:
        chosen('[prod]\nprofile = "slimm"', file=file)
    assert str(caught.value) == (
        "images.toml: prod.profile: unknown profile 'slimm': did you mean slim?"
    )
