from __future__ import annotations

import json
from pathlib import Path

import projects
import pytest

from build_tasks.commands import reports
from build_tasks.config.options import Options
from build_tasks.errors import DiskError, UsageError
from build_tasks.history import journal
from build_tasks.history.record import BuildRecord
from build_tasks.text.hints import FILE_VARIABLE


@pytest.fixture
def built() -> None:
    """A run with one build."""
    journal.write(BuildRecord("ci-3.11-amd64", run="1", began="2026-01-01T00:00:00"))


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("options", "beginning"),
    [
        ({"json": True}, "{\n"),
        ({"format": "json"}, "{\n"),
        ({"format": "junit"}, "<?xml "),
        ({"format": "html"}, "<!doctype html>"),
    ],
)
def test_a_report_has_the_format_that_an_option_names(
    capsys: pytest.CaptureFixture[str], options: dict[str, str | bool], beginning: str
) -> None:
    reports.report_image(Options(options))
    assert capsys.readouterr().out.lower().startswith(beginning)


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("name", "beginning"),
    [("r.md", "#"), ("r.json", "{"), ("r.xml", "<?xml"), ("r.html", "<!doctype"), ("r", "")],
)
def test_the_suffix_of_a_file_is_its_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, beginning: str
) -> None:
    reports.report_image(Options({"output": str(tmp_path / name)}))
    text = (tmp_path / name).read_text()
    assert text.lower().startswith(beginning)
    assert "ci-3.11-amd64" in text
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.startswith(f"wrote {tmp_path / name}: ")
    assert shown.err.endswith(" kB, 1 build\n")


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"json": True, "format": "html"}, UsageError, "--json and --format html exclude each "),
        ({"format": "pdf"}, UsageError, "--format: unknown format 'pdf': choose table, markdown"),
        ({"record": "2"}, UsageError, "no record of '2': choose last, 1, ci-3.11-amd64, "),
        ({"output": "/dev/null/x"}, DiskError, "--output: /dev/null/x cannot be written: Not a "),
    ],
)
def test_a_mistake_is_one_line(
    options: dict[str, str | bool], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        reports.report_image(Options(options))
    assert str(caught.value).startswith(message)


def test_the_matrix_is_restricted_by_settings_and_names_sessions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reports.show_matrix(Options({"platform": "arm64", "json": True}))
    rows = json.loads(capsys.readouterr().out)["include"]
    assert {row["platform"] for row in rows} == {"linux/arm64"}
    (row,) = (row for row in rows if row["identity"] == "prod-3.11-arm64")
    assert (row["session"], row["merge"]) == ("build_prod-3.11-arm64", "merge_prod-3.11")
    assert row["image"] == "ghcr.io/apache/airflow/main/prod/python3.11"


def test_the_matrix_has_own_images_and_what_each_stands_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FILE_VARIABLE, str(projects.with_own_images(tmp_path)))
    reports.show_matrix(Options({"platform": "arm64", "json": True}))
    rows = json.loads(capsys.readouterr().out)["include"]
    order = list(dict.fromkeys((row["kind"], row["from"]) for row in rows))
    assert order == [("ci", ""), ("prod", ""), ("dags", "prod"), ("site", "dags"), ("tests", "ci")]
    (row,) = (row for row in rows if row["identity"] == "site-3.12-arm64")
    assert (row["session"], row["merge"]) == ("build_site-3.12-arm64", "merge_site-3.12")
    assert row["image"] == "ghcr.io/team/airflow/main/site/python3.12"


def test_the_schema_of_settings_needs_no_right_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_IMAGES_COLOUR", "1")
    reports.show_settings(Options({"schema": True}))
    assert json.loads(capsys.readouterr().out)["title"] == "images.toml of airflow-images"


def test_settings_have_a_value_and_an_origin(capsys: pytest.CaptureFixture[str]) -> None:
    reports.show_settings(Options({"builder": "mine", "json": True}))
    data = json.loads(capsys.readouterr().out)
    assert data["builder"] == {"value": "mine", "from": "--builder"}
    reports.show_settings(Options({}))
    assert capsys.readouterr().out.split()[:3] == ["setting", "value", "from"]


def test_settings_show_what_extras_bring_to_each_image_and_what_names_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given: dict[str, str | bool | list[str] | None] = {"json": True}
    given |= {"airflow-extras": "http,ODBC", "airflow-extras-add": "jdbc"}
    reports.show_settings(Options(given))
    shown = json.loads(capsys.readouterr().out)
    for kind in ("ci", "prod"):
        assert shown[f"{kind}: extras of Airflow 3.3.2"] == {
            "value": ["http", "ODBC", "jdbc"],
            "from": "--airflow-extras, --airflow-extras-add",
        }
        found = shown[f"{kind}: Debian packages of odbc"]
        assert found == {"value": ["unixodbc"], "from": "--airflow-extras"}
        found = shown[f"{kind}: Debian packages of jdbc"]
        assert found == {"value": ["default-jre-headless"], "from": "--airflow-extras-add"}
    assert shown["prod: clients"] == {"value": ["postgres", "mysql", "mssql"], "from": "default"}
    assert "kinit" not in shown["prod: programs"]["value"]
    assert "krb5-user" in shown["prod: programs"]["value"]


def test_settings_show_that_a_slim_image_has_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, str | bool | list[str] | None] = {"json": True, "prod-profile": "slim"}
    reports.show_settings(Options({**given, "prod-clients": "mysql"}))
    shown = json.loads(capsys.readouterr().out)
    for key in ("extras of Airflow 3.3.2", "clients", "programs"):
        assert shown[f"prod: {key}"]["value"] == []
    for key in ("clients", "programs"):
        assert shown[f"prod: {key}"]["from"] == "--prod-profile"
