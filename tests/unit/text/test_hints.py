from __future__ import annotations

import sys
from pathlib import Path

import pytest

from build_tasks.text import hints


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    for program in ("nox", "invoke", "airflow-images"):
        (tmp_path / "bin" / program).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env/bin/python"))
    return tmp_path


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("/usr/bin/nox", "nox"),
        ("/lib/python3/site-packages/nox/__main__.py", "nox"),
        ("/usr/bin/inv", "invoke"),
        ("/lib/invoke/__main__.py", "invoke"),
        ("/env/bin/airflow-images-check", "airflow-images-check"),
        ("/env/bin/airflow-images", "airflow-images"),
        ("/env/bin/pytest", "airflow-images"),
    ],
)
def test_the_front_end_is_the_program(
    monkeypatch: pytest.MonkeyPatch, program: str, name: str
) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    assert hints.front_end() == name


CASES = {
    "/bin/nox": (
        "airflow-images engine.stop --purge",
        "nox -s build_ci-3.11-arm64 -- --tag 'a b'",
        "nox -s constraints-3.11 -- --from-sources",
    ),
    "/bin/invoke": (
        "invoke engine.stop --purge",
        "invoke image.build --kind ci --python 3.11 --platform linux/arm64 --tag 'a b'",
        "invoke constraints.generate --python 3.11 --from-sources",
    ),
    "/bin/airflow-images": (
        "airflow-images engine.stop --purge",
        "airflow-images image.build --kind ci --python 3.11 --platform linux/arm64 --tag 'a b'",
        "airflow-images constraints.generate --python 3.11 --from-sources",
    ),
}


def commands() -> tuple[str, str, str]:
    return (
        hints.task("engine.stop", "--purge"),
        hints.image("image.build", "ci", "3.11", "arm64", ["--tag", "a b"]),
        hints.constraints("3.11", "--from-sources"),
    )


@pytest.mark.parametrize("program", CASES)
def test_commands_are_those_of_the_front_end(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    assert commands() == CASES[program]


def test_the_hook_names_sessions_where_the_noxfile_has_them(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["/env/bin/airflow-images-check"])
    assert commands() == CASES["/bin/airflow-images"]
    (folder / "noxfile.py").write_text("import nox\n")
    assert commands() == CASES["/bin/airflow-images"]
    (folder / "noxfile.py").write_text("from build_tasks.front.nox_sessions import register\n")
    assert commands() == CASES["/bin/nox"]


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("/bin/nox", "env AIRFLOW_IMAGES_FILE=/x.toml nox -s constraints-3.11"),
        (
            "/bin/invoke",
            "env AIRFLOW_IMAGES_FILE=/x.toml invoke constraints.generate --python 3.11",
        ),
        (
            "/bin/airflow-images",
            "airflow-images --file /x.toml constraints.generate --python 3.11",
        ),
    ],
)
def test_the_settings_file_of_the_run_is_named(
    monkeypatch: pytest.MonkeyPatch, program: str, command: str
) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.setenv("AIRFLOW_IMAGES_FILE", "/x.toml")
    assert hints.constraints("3.11") == command


def test_a_command_that_only_noxs_own_environment_has_is_named_by_its_path(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/nox"])
    program = folder / "env/bin/airflow-images"
    program.parent.mkdir(parents=True)
    (folder / "bin/airflow-images").unlink()
    assert hints.task("engine.start") == "airflow-images engine.start"
    invoke = program.with_name("invoke")  # a checkout of the suite, which nothing has installed
    invoke.touch(mode=0o755)
    assert hints.task("engine.start") == f"{invoke} engine.start"
    program.touch(mode=0o755)
    assert hints.task("engine.start") == f"{program} engine.start"
    monkeypatch.setenv("PATH", str(program.parent))
    assert hints.task("engine.start") == "airflow-images engine.start"


@pytest.mark.parametrize(
    ("program", "command"),
    [
        (".venv/bin/nox", ".venv/bin/nox -s constraints-3.11"),
        ("/venv/bin/invoke", "/venv/bin/invoke constraints.generate --python 3.11"),
        ("./airflow-images", "./airflow-images constraints.generate --python 3.11"),
        ("/lib/nox/__main__.py", "nox -s constraints-3.11"),
        ("/venv/bin/airflow-images-check", "airflow-images constraints.generate --python 3.11"),
    ],
)
def test_a_program_that_the_shell_does_not_find_is_named_as_it_was_started(
    monkeypatch: pytest.MonkeyPatch, program: str, command: str
) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.setenv("PATH", "")
    assert hints.constraints("3.11") == command
