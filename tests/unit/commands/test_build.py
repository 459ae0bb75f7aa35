from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import projects
import pytest
import specs

from build_tasks.batch import run
from build_tasks.buildx import plugin
from build_tasks.buildx.toolchain import Client
from build_tasks.commands import build, builders
from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.errors import EngineError
from build_tasks.model.build import BuildSpec, Output, Secret
from build_tasks.plan import planner, preflight
from build_tasks.publish import merge
from build_tasks.text.hints import FILE_VARIABLE

CLIENT = Client("docker", ("docker-buildx",), {})
GOOD = specs.make()
REFUSED = specs.make(python="3.9", refused=EngineError("no base image"))


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of each plan, which always has two builds, one of them refused."""
    given: list[dict[str, Any]] = []

    def plan(options: Options, _: object, **arguments: Any) -> tuple[object, list[BuildSpec]]:
        given.append({"options": options, **arguments})
        return SimpleNamespace(client=CLIENT), [GOOD, REFUSED]

    monkeypatch.setattr(planner, "plan_builds", plan)
    return given


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[BuildSpec]]]:
    """What is done with the builds of a plan."""
    done: list[tuple[str, list[BuildSpec]]] = []
    monkeypatch.setattr(preflight, "require", lambda _, each, **__: done.append(("check", each)))
    monkeypatch.setattr(run, "build", lambda _, each, *__, **___: done.append(("run", each)))
    monkeypatch.setattr(builders, "create_missing", lambda _: done.append(("create", [])))
    return done


def test_the_matrix_is_what_the_options_do_not_select() -> None:
    pythons = ",".join(loading.load().pythons)
    given = build.whole_matrix(Options({"kind": "ci", "push": True})).given
    assert given == {"kind": "ci", "python": pythons, "push": True}
    assert build.whole_matrix(Options({"python": "3.9"})).text("kind") == "ci,prod"


def test_the_matrix_has_own_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE_VARIABLE, str(projects.with_own_images(tmp_path)))
    assert build.whole_matrix(Options({})).text("kind") == "ci,prod,site,dags,tests"


@pytest.mark.parametrize(
    ("verb", "options", "decided"),
    [
        (build.build, {}, (None, False)),
        (build.build_all, {}, (None, False)),
        (build.push_image, {}, (Output.PUSH, False)),
        (build.push_image, {"push-by-digest": True}, (None, False)),
        (build.push_cache, {}, (Output.NONE, True)),
    ],
)
def test_a_verb_decides_the_output(
    planned: list[dict[str, Any]],
    steps: list[tuple[str, list[BuildSpec]]],
    verb: Any,
    options: dict[str, bool],
    decided: tuple[Output | None, bool],
) -> None:
    verb(Options(options))
    assert (planned[0]["output"], planned[0]["push_cache"]) == decided
    # A build that is refused fails by itself, and is not checked.
    assert steps == [("check", [GOOD]), ("run", [GOOD, REFUSED])]


def test_a_dry_run_prints_commands_and_runs_nothing(
    planned: list[dict[str, Any]],
    steps: list[tuple[str, list[BuildSpec]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    build.build(Options({"dry-run": True}))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("docker-buildx build ")
    assert second == f"# {REFUSED.identity} cannot be built: no base image"
    assert (len(planned), steps) == (1, [])


def test_a_builder_of_the_settings_is_created(
    planned: list[dict[str, Any]],
    steps: list[tuple[str, list[BuildSpec]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = SimpleNamespace(builder="own", builders={"own": None})
    monkeypatch.setattr(loading, "load", lambda _: settings)
    build.build(Options({}))
    assert (len(planned), [name for name, _ in steps]) == (1, ["create", "check", "run"])


def test_a_bake_file_leaves_out_what_cannot_be_built(
    planned: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(plugin, "version", lambda _: (0, 20, 0))
    build.bake(Options({}))
    shown = capsys.readouterr()
    assert [*json.loads(shown.out)["target"]] == ["ci-3_11-amd64"]
    assert planned[0]["options"].flag("dry-run")
    assert shown.err.startswith(f"{REFUSED.identity} is left out: no base image\n")
    assert "docker-buildx bake " in shown.err


def test_a_run_that_is_not_trusted_merges_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    merged: list[Options] = []
    monkeypatch.setattr(merge, "merge_files", lambda options, *_, **__: merged.append(options))
    build.merge_image(Options({}))
    assert len(merged) == 1
    monkeypatch.setenv("TRAVIS", "true")
    build.merge_image(Options({}))
    assert len(merged) == 1
    assert capsys.readouterr().err.startswith("nothing is merged: this run is not trusted: ")


def test_a_variable_that_shown_commands_need_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = specs.make(secrets=(Secret("index-credentials", variable="NAME", value="canary"),))
    host = SimpleNamespace(client=CLIENT)
    monkeypatch.setattr(planner, "plan_builds", lambda *_, **__: (host, [spec]))
    monkeypatch.setattr(merge, "shell_lines", lambda *_: ["docker buildx build"])
    build.build(Options({"dry-run": True}))
    shown = capsys.readouterr()
    assert shown.out == "docker buildx build\n"
    assert (
        shown.err == "the commands read the credentials of indexes from NAME, in netrc's format\n"
    )
