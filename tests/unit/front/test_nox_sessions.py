from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nox
import projects
import pytest
from nox import registry

from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.errors import UsageError
from build_tasks.front import nox_sessions
from build_tasks.front.verbs import Verb
from build_tasks.text.hints import FILE_VARIABLE


@pytest.fixture(autouse=True)
def sessions(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The sessions of nox, of which there are none yet."""
    known: dict[str, Any] = {}
    monkeypatch.setattr(registry, "_REGISTRY", known)
    return known


def test_each_image_and_python_has_its_sessions(sessions: dict[str, Any]) -> None:
    nox_sessions.register(["-s", "build_ci-3.11"])
    for python in loading.load().pythons:
        names = {f"build_prod-{python}-arm64", f"merge_ci-{python}", f"verify_prod-{python}"}
        assert names | {f"constraints-{python}"} <= sessions.keys()
    assert sessions["build_ci-3.11"].tags == ["build_ci", "python-3.11"]
    assert sessions["build_ci-3.11"].__doc__ == "Build the CI image with Python 3.11."


def test_own_images_have_sessions_and_those_of_ci_a_shell(
    sessions: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FILE_VARIABLE, str(projects.with_own_images(tmp_path)))
    nox_sessions.register([])
    for name in ("build_site-3.11-arm64", "merge_dags-3.12", "verify_tests-3.11"):
        assert name in sessions
    assert sessions["build_dags-3.11"].tags == ["build_dags", "python-3.11"]
    assert sessions["build_dags-3.11"].__doc__ == "Build the image dags with Python 3.11."
    runs = {name for name in sessions if name.startswith(("shell_", "test_"))}
    assert {name.rpartition("-")[0] for name in runs} == {
        *("shell_ci", "shell_tests", "test_ci", "test_tests")
    }


def test_a_list_leaves_out_the_sessions_of_single_platforms(sessions: dict[str, Any]) -> None:
    nox_sessions.register(["--list"])
    assert "build_ci-3.11" in sessions
    assert not any(name.endswith(("-amd64", "-arm64")) for name in sessions)


def test_wrong_settings_end_nox_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_IMAGES_BULDER", "x")
    with pytest.raises(SystemExit) as caught:
        nox_sessions.register([])
    assert str(caught.value.code).startswith("nox > unknown variable 'AIRFLOW_IMAGES_BULDER'")


class Ended(Exception):
    """What nox raises when a session has failed."""


def run(session: Any, *options: str) -> None:
    def error(message: str) -> None:
        raise Ended(message)

    session(SimpleNamespace(posargs=options, error=error))


def test_a_session_runs_its_verb_with_the_options_that_its_name_fixes(
    sessions: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Options] = []
    monkeypatch.setattr(Verb, "run", lambda _, options: given.append(options))
    nox_sessions.register([])
    run(sessions["build_prod-3.11-arm64"], "--push")
    fixed = {"kind": "prod", "python": "3.11", "platform": "linux/arm64"}
    assert given == [Options({**fixed, "push": True})]
    with pytest.raises(Ended, match=r"^build_ci-3.11: unknown option '--python'"):
        run(sessions["build_ci-3.11"], "--python", "3.9")


def test_an_error_of_a_verb_ends_its_session(
    sessions: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise UsageError("why")

    monkeypatch.setattr(Verb, "run", fail)
    nox_sessions.register([])
    with pytest.raises(Ended, match=r"^why$"):
        run(sessions["build_all"])


@pytest.mark.parametrize("words", [["-s", f"build_ci-{3.1}"], ["--session=tets"]])
def test_a_misspelt_session_is_one_line(sessions: dict[str, Any], words: list[str]) -> None:
    nox_sessions.register(["-s", "build_all", "--", "-s", "tes"])
    sessions.clear()
    nox.session(name="tests")(lambda _: None)
    with pytest.raises(SystemExit) as caught:
        nox_sessions.register(words)
    assert str(caught.value.code).startswith("nox > unknown session '")
    assert "': did you mean " in str(caught.value.code)


def test_a_session_of_the_noxfile_with_the_name_of_an_image_is_one_line() -> None:
    nox.session(name="build_prod-3.11")(lambda _: None)
    with pytest.raises(SystemExit) as caught:
        nox_sessions.register([])
    assert caught.value.code == (
        "nox > session 'build_prod-3.11' is defined twice: register() adds one of that name"
    )


def test_a_session_further_below_in_the_noxfile_is_not_refused() -> None:
    below = "build_ci-3.11-below"  # this file is the noxfile here
    nox_sessions.register(["-s", below, "nothing-like-it"])


def test_no_session_runs_unless_it_is_named(sessions: dict[str, Any]) -> None:
    nox_sessions.register([])
    assert not any(session.default for session in sessions.values())


def test_ci_images_have_sessions_for_a_shell_and_for_tests(
    sessions: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, Options]] = []
    monkeypatch.setattr(Verb, "run", lambda verb, options: given.append((verb.function, options)))
    nox_sessions.register([])
    run(sessions["shell_ci-3.11"])
    run(sessions["test_ci-3.11"], "--sources", "mount", "pytest", "-x")
    fixed = {"kind": "ci", "python": "3.11"}
    assert given == [
        ("run.open_shell", Options(fixed)),
        ("run.run_tests", Options({**fixed, "sources": "mount", "command": ["pytest", "-x"]})),
    ]
    assert not {"shell_prod-3.11", "test_prod-3.11"} & sessions.keys()
