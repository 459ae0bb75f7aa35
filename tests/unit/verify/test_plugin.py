from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from targets import target

from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.verify.plugin import CI, CONTRACT, PROD, Plugin, expect


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
