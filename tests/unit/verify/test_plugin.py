from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from targets import target

from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.model.own_image import OwnImage
from build_tasks.verify.plugin import (
    CI,
    CONTRACT,
    FOREIGN,
    PROD,
    Plugin,
    expect,
    skip_if_arbitrary,
    skip_without_default_database,
)
from build_tasks.verify.target import Image


def test_expect_fails_with_its_message() -> None:
    expect(1, "not seen")
    with pytest.raises(pytest.fail.Exception, match=r"^why$"):
        expect("", "why")


def report(when: str, outcome: str, longrepr: object = None) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid="test_a.py::test_x[1::2]",
        location=("test_a.py", 1, "test_x"),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]  # one of its literals
        longrepr=longrepr,  # type: ignore[arg-type]  # what pytest's own reports have
        when=when,  # type: ignore[arg-type]  # one of its literals
        duration=0.12345,
    )


@pytest.mark.parametrize(
    ("when", "outcome", "longrepr", "message"),
    [
        ("call", "passed", None, ""),
        ("call", "failed", "why\nand how", "why\nand how"),
        ("call", "failed", SimpleNamespace(reprcrash=SimpleNamespace(message="Failed: w")), "w"),
        ("setup", "failed", SimpleNamespace(reprcrash=SimpleNamespace(message="KeyError")), "KeyE"),
        ("setup", "skipped", ("file", 1, "Skipped: no driver"), "no driver"),
        ("teardown", "failed", "x", "x"),
        ("call", "failed", None, ""),
    ],
)
def test_the_result_of_a_check_is_kept(
    when: str, outcome: str, longrepr: object, message: str
) -> None:
    plugin = Plugin(target(), print)
    plugin.pytest_runtest_logreport(report(when, outcome, longrepr))
    (result,) = plugin.results
    assert (result.check, result.outcome, result.seconds) == ("test_x[1::2]", outcome, 0.123)
    assert result.message.startswith(message)
    assert bool(result.message) is bool(message)


def test_groups_of_checks_are_announced() -> None:
    messages: list[str] = []
    plugin = Plugin(target(), messages.append)
    names = ("test_users.py::test_a", "test_users.py::test_b", "test_airflow.py::test_c")
    items = [SimpleNamespace(nodeid=name) for name in names]
    plugin.pytest_collection_finish(SimpleNamespace(items=items))  # type: ignore[arg-type]  # all of a session that it uses
    for name in names:
        plugin.pytest_runtest_logstart(name)
    assert messages == [
        "i: running 3 checks in 2 groups, which take several minutes: they run Airflow",
        "[1/2] users: 2 checks",
        "[2/2] airflow: 1 check",
    ]
    quick = Plugin(target(), messages.append)
    quick.pytest_collection_finish(SimpleNamespace(items=items[:1]))  # type: ignore[arg-type]  # see above
    assert messages[-1] == "i: running 1 check in 1 group"


def test_a_passed_fixture_is_not_a_result() -> None:
    plugin = Plugin(target(), print)
    for when in ("setup", "teardown"):
        plugin.pytest_runtest_logreport(report(when, "passed"))
    assert plugin.results == []


def collect(items: list[SimpleNamespace], **changes: object) -> Plugin:
    """Return the plugin after it selected from these checks, all of whose files were collected."""
    plugin = Plugin(target(**changes), print)
    plugin.collected.update(item.path for item in items)
    plugin.pytest_collection_modifyitems(items)  # type: ignore[arg-type]  # all of an item that it uses
    return plugin


def item(path: str, *marks: pytest.MarkDecorator) -> SimpleNamespace:
    added: list[pytest.MarkDecorator] = []
    return SimpleNamespace(
        path=Path(path),
        iter_markers=lambda name: [mark.mark for mark in marks if mark.name == name],
        get_closest_marker=lambda name: any(mark.name == name for mark in marks),
        added=added,
        add_marker=added.append,
    )


def test_the_projects_checks_are_last_and_keep_their_order() -> None:
    items = [item("/p/b.py"), item("test_airflow.py"), item("/p/a.py"), item("test_users.py")]
    plugin = collect(items, checks=(Path("/p/b.py"), Path("/p/a.py")))
    names = [one.path.name for one in items]
    assert names == ["test_users.py", "test_airflow.py", "b.py", "a.py"]
    assert plugin.broken == {}


def test_a_file_without_checks_leaves_none_to_run() -> None:
    items = [item("test_users.py")]
    plugin = collect(items, checks=(Path("/p/own.py"),))
    assert items == []
    assert plugin.broken == {Path("/p/own.py"): "has no check: expected functions named test_..."}


def test_what_needs_airflow_is_skipped_on_an_image_without_it() -> None:
    items = [item("test_users.py"), item("test_platform.py", FOREIGN), item("/p/own.py")]
    collect(items, foreign=True, checks=(Path("/p/own.py"),))
    skipped = {one.path.name: bool(one.added) for one in items}
    assert skipped == {"test_users.py": True, "test_platform.py": False, "own.py": False}
    assert "has no Airflow" in items[0].added[0].mark.kwargs["reason"]


@pytest.mark.parametrize(
    "change",
    [{"other_dockerfile": True}, {"own": (OwnImage("x", dockerfile="D"),)}],
    ids=["other", "own"],
)
def test_what_a_dockerfile_of_the_project_adds_is_not_judged(change: dict[str, object]) -> None:
    skip_if_arbitrary(target(own=(OwnImage("x", python=("y",)),)))
    with pytest.raises(pytest.skip.Exception, match="up to a Dockerfile or script of the project"):
        skip_if_arbitrary(target(**change))


@pytest.mark.parametrize(
    ("variable", "own", "skipped"),
    [
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql://h/d", True, True),
        ("AIRFLOW_CONFIG=/opt/airflow/config/airflow.cfg", True, True),
        ("AIRFLOW__CORE__EXECUTOR=LocalExecutor", True, False),
        ("AIRFLOW_CONFIG=/x", False, False),
    ],
)
def test_a_database_of_the_project_is_none_of_a_check(
    variable: str, own: bool, skipped: bool
) -> None:
    image = Image("i", {"Config": {"Env": ["PATH=/bin", variable]}})
    asked = target(image=image, own=(OwnImage("x"),) if own else ())
    with pytest.raises(pytest.skip.Exception) if skipped else contextlib.nullcontext():
        skip_without_default_database(asked)


@pytest.mark.parametrize(("kind", "own"), [(ImageKind.PROD, PROD), (ImageKind.CI, CI)])
def test_each_image_has_its_own_checks_and_the_slowest_ones_are_last(
    kind: ImageKind, own: pytest.MarkDecorator
) -> None:
    def item(name: str, *marks: pytest.MarkDecorator) -> SimpleNamespace:
        marked = [mark.mark for mark in marks]
        return SimpleNamespace(path=Path(name), iter_markers=lambda _: marked)

    both, slow = item("test_users.py"), item("test_airflow.py")
    items = [slow, item("test_users.py", PROD), both, item("test_users.py", CI)]
    plugin = Plugin(target(build=Build(kind, "3.11", Platform.AMD64)), print)
    plugin.pytest_collection_modifyitems(items)  # type: ignore[arg-type]  # all of an item that it uses
    assert [item.path.name for item in items] == [
        "test_users.py",
        "test_users.py",
        "test_airflow.py",
    ]
    assert [mark for item in items for mark in item.iter_markers("only")] == [own.mark]


@pytest.mark.parametrize(
    ("contract", "selected"),
    [(False, ["python", "labels", "airflow"]), (True, ["python", "airflow"])],
)
def test_of_any_image_only_the_documented_is_checked(contract: bool, selected: list[str]) -> None:
    def check(name: str, *marks: pytest.MarkDecorator) -> SimpleNamespace:
        return SimpleNamespace(
            name=name,
            path=Path(f"test_{name}.py"),
            iter_markers=lambda kind: [mark.mark for mark in marks if mark.name == kind],
            get_closest_marker=lambda kind: any(mark.name == kind for mark in marks),
        )

    items = [
        check("airflow", CONTRACT),
        check("python", PROD, CONTRACT),
        check("labels", PROD),
        check("toolchain", CI, CONTRACT),
    ]
    Plugin(target(contract=contract), print).pytest_collection_modifyitems(items)  # type: ignore[arg-type]  # all of an item that it uses
    assert [item.name for item in items] == selected
