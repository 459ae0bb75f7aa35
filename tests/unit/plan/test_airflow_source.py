"""Where Airflow comes from; git and downloads are tested with the front ends."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from archives import wheel
from hypothesis import given
from hypothesis import strategies as st

from build_tasks.config import loading
from build_tasks.config.project import SHIPPED as ROOT
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files
from build_tasks.errors import UsageError
from build_tasks.plan import airflow_source


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "docker-context-files"
    folder.mkdir()
    shutil.copy(ROOT / "images.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return folder


def chosen(**options: object) -> Settings:
    return loading.load({name.replace("_", "-"): text for name, text in options.items()})


def said(line: str) -> None:
    pytest.fail(f"nothing is fetched here: {line}")


@pytest.mark.parametrize(("python", "airflow"), [("3.9", "3.0.6"), ("3.11", "3.3.2")])
@pytest.mark.parametrize("mode", ["constraints", "constraints-no-providers"])
def test_release_follows_the_constraints_of_the_project(
    wheels: Path, python: str, airflow: str, mode: str
) -> None:
    found = airflow_source.find(chosen(constraints_mode=mode), python, said)
    file = ROOT / "constraints" / f"{mode}-{python}.txt"
    assert found == airflow_source.Installation("release", airflow, file)
    assert file.exists()


def test_missing_wheels_folder_is_like_an_empty_one(wheels: Path) -> None:
    wheels.rmdir()
    airflow_source.find(chosen(), "3.11", said)
    with pytest.raises(UsageError, match="there is no wheel in docker-context-files/"):
        airflow_source.find(chosen(airflow_from="wheels"), "3.11", said)


def test_version_is_that_of_airflows_wheel(wheels: Path) -> None:
    (wheels / "apache_airflow_core-3.9.9-py3-none-any.whl").touch()
    assert airflow_source.find(chosen(airflow_from="wheels"), "3.11", said).version == "3.3.2"
    wheel(wheels / "Apache.Airflow-3.4.0.dev0+mine-1-py3-none-any.whl", "celery", "mine")
    found = airflow_source.find(chosen(airflow_from="wheels", airflow_extras="mine"), "3.11", said)
    assert (found.method, found.version) == ("wheels", "3.4.0.dev0+mine")
    assert found.contexts == {"wheels": wheels}
    assert found.local == {"apache-airflow", "apache-airflow-core"}


def test_extras_are_those_of_the_wheel(wheels: Path) -> None:
    file = wheel(wheels / "apache_airflow-3.4.0-py3-none-any.whl", "celery")
    place = "docker-context-files/apache_airflow-3.4.0-py3-none-any.whl"
    options = {"airflow_from": "wheels", "airflow_extras": "celery,celeri"}
    message = r"--airflow-extras: Airflow 3.4.0 has no extra 'celeri': did you mean celery\?"
    with pytest.raises(UsageError, match=message):
        airflow_source.find(chosen(**options), "3.11", said)
    airflow_source.find(chosen(**options, prod_profile="slim"), "3.11", said)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("apache_airflow.dist-info/RECORD", "")
    with pytest.raises(UsageError, match=rf"{place}: is no wheel: it has no METADATA$"):
        airflow_source.find(chosen(**options), "3.11", said)
    file.write_text("")
    with pytest.raises(UsageError, match=rf"{place}: is no wheel: File is not a zip file$"):
        airflow_source.find(chosen(**options), "3.11", said)


def test_wheels_without_airflow_have_the_extras_of_the_release(wheels: Path) -> None:
    (wheels / "other-1-py3-none-any.whl").touch()
    with pytest.raises(UsageError, match=r"Airflow 3\.3\.2 has no extra 'celeri'"):
        airflow_source.find(chosen(airflow_from="wheels", airflow_extras="celeri"), "3.11", said)


def test_extras_are_those_that_sources_declare(wheels: Path, tmp_path: Path) -> None:
    expect_none = list(wheels.iterdir())
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nversion = "3.4"\ndynamic = ["optional-dependencies"]\n')
    options = chosen(airflow_from=str(tmp_path), airflow_extras="celeri")
    found = airflow_source.find(options, "3.11", said)
    assert (found.method, found.version, expect_none) == ("sources", "3.4", [])
    assert "apache-airflow-core" in found.local
    file.write_text('[project]\nversion = "3.4"\n[project.optional-dependencies]\nmine = []\n')
    message = rf"Airflow 3.4 has no extra 'celeri': {file} has all$"
    with pytest.raises(UsageError, match=message):
        airflow_source.find(options, "3.11", said)


def test_wheels_are_files_with_unique_names(wheels: Path) -> None:
    folder = wheels / "a-1-py3-none-any.whl"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"a-1-py3-none-any\.whl: is no file; links are not foll"):
        airflow_source._check_wheels(wheels, "here")
    folder.rmdir()
    folder.symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match=r"a-1-py3-none-any\.whl: is no file; links are not foll"):
        airflow_source._check_wheels(wheels, "here")
    folder.unlink()
    folder.touch()
    (wheels / "A-2-py3-none-any.whl").touch()
    with pytest.raises(UsageError, match=r"a-1-py3-none-any\.whl: there is another wheel of a$"):
        airflow_source._check_wheels(wheels, "here")


@given(
    name=st.from_regex(r"[A-Za-z0-9]{1,4}(_[A-Za-z0-9]{1,4}){0,2}", fullmatch=True),
    version=st.from_regex(r"[1-9][0-9]{0,3}(\.[1-9][0-9]{0,3}){0,3}(rc[1-9])?", fullmatch=True),
    tag=st.sampled_from(["py3-none-any", "cp311-cp311-manylinux_2_28_x86_64", "1-py3-none-any"]),
)
def test_valid_wheel_names_are_accepted(
    tmp_path_factory: pytest.TempPathFactory, name: str, version: str, tag: str
) -> None:
    folder = tmp_path_factory.mktemp("wheels")
    (folder / f"{name}-{version}-{tag}.whl").touch()
    assert "apache-airflow" not in airflow_source._check_wheels(folder, "here")
    (folder / f"apache_airflow-{version}-py3-none-any.whl").touch()
    assert airflow_source._check_wheels(folder, "here")["apache-airflow"].version == version


@given(name=st.text(alphabet=st.characters(exclude_characters="/\0", codec="utf-8"), max_size=40))
def test_invalid_wheel_name_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.mktemp("wheels")
    (folder / f"x{name}.txt").touch()
    with pytest.raises(UsageError, match=r": is no wheel, like NAME-1\.0-py3-none-any\.whl$"):
        airflow_source._check_wheels(folder, "here")
    with pytest.raises(UsageError, match=": would not be used: remove it, or install"):
        airflow_source._refuse_leftovers(folder)


def test_a_folder_of_sources_is_a_build_context(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('version = "3.2.1"')
    found = airflow_source.find(chosen(airflow_from=str(tmp_path)), "3.11", said)
    assert (found.method, found.version) == ("sources", "3.2.1")
    assert found.contexts == {"sources": tmp_path}


def test_sources_follow_constraints_of_the_release_or_of_their_version(
    wheels: Path, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text('version = "3.4.0"')
    file = tmp_path / "constraints/constraints-3.11.txt"
    file.parent.mkdir()
    for airflow in ("3.3.2", "3.4.0"):
        header = f"# Made by `x`: Airflow {airflow} on Python 3.11."
        file.write_text(f"{header}\napache-airflow=={airflow}\n")
        found = airflow_source.find(chosen(airflow_from=str(tmp_path)), "3.11", said)
        assert found.constraints == file
    with pytest.raises(UsageError, match=r"has Airflow 3\.4\.0, not 3\.3\.2: run: "):
        airflow_source.find(chosen(), "3.11", said)
    (tmp_path / "pyproject.toml").write_text('version = "3.5.0"')
    with pytest.raises(UsageError, match=r"has Airflow 3\.4\.0, not 3\.3\.2 or 3\.5\.0: run: "):
        airflow_source.find(chosen(airflow_from=str(tmp_path)), "3.11", said)


def test_own_constraints_are_copied_by_content(tmp_path: Path) -> None:
    own = tmp_path / "my pins-3.11.txt"
    own.write_text("a==1\n")
    asked = chosen(constraints_location=str(own).replace("3.11", "{python}"))
    file = airflow_source.constraints_file(asked, "3.11")
    assert (file.name, file.read_text()) == ("constraints.txt", "a==1\n")
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.parent.stat().st_mode & 0o777 == 0o755
    assert airflow_source.constraints_file(asked, "3.11") == file
    own.write_text("a==2\n")
    assert airflow_source.constraints_file(asked, "3.11") != file
    with pytest.raises(UsageError, match=r"my pins-3\.12\.txt: cannot be read: No such file"):
        airflow_source.constraints_file(asked, "3.12")
    found = airflow_source.find(asked, "3.11", said)
    assert (
        found.contexts["constraints"].name
        == airflow_source.constraints_file(asked, "3.11").parent.name
    )


@pytest.mark.parametrize("location", ["a\0b", "\0", "~nobody-here/x"])
def test_invalid_file_name_is_one_line(location: str) -> None:
    asked = chosen().replace({"constraints.location": location})
    with pytest.raises(UsageError, match="cannot be read"):
        airflow_source.constraints_file(asked, "3.11")


PINS = st.builds(
    "{}{}{}{}".format,
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True),
    st.sampled_from(["==1.2.3", " == 1", ">=1,<2", "~=2.0", " @ https://host/x.whl#sha256=0"]),
    st.sampled_from(["", " ; python_version < '3.12'"]),
    st.sampled_from(["", "  # via x", " #"]),
)
REST = st.sampled_from(["", "   ", "# a comment", "  # -r x"])


@given(pins=st.lists(PINS, min_size=1), rest=st.lists(REST), end=st.sampled_from(["\n", "\r\n"]))
def test_constraints_that_pip_accepts_are_valid(pins: list[str], rest: list[str], end: str) -> None:
    constraint_files.check_lines(end.join([*rest, *pins, *rest]), "here")


@given(
    before=st.lists(st.one_of(PINS, REST), max_size=5),
    line=st.sampled_from(
        ["-r other.txt", "-e .", "--index-url https://x", "a==1 \\", "a b", "==1", "ü==1", "<html>"]
    ),
)
def test_invalid_constraint_is_refused_with_its_line(before: list[str], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        constraint_files.check_lines("\n".join([*before, line]), "here")
    number = len(before) + 1
    assert (
        str(caught.value) == f"here:{number}: expected a constraint like name==1.2.3, got {line!r}"
    )


@given(rest=st.lists(REST))
def test_file_without_constraints_is_refused(rest: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^here: has no constraint$"):
        constraint_files.check_lines("\n".join(rest), "here")
