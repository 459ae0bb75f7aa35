"""A pytest plugin that announces the checks, and collects their results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from build_tasks.model.matrix import ImageKind
from build_tasks.process import Announce, Completed
from build_tasks.text import escaping
from build_tasks.text.formatting import plural
from build_tasks.verify.target import Target

#: Where the fixtures find the image.
TARGET = pytest.StashKey[Target]()
#: Marks checks that are for one kind of image.
PROD = pytest.mark.only(ImageKind.PROD)
CI = pytest.mark.only(ImageKind.CI)
#: Marks checks of what the documentation of Airflow's official image promises.
CONTRACT = pytest.mark.contract
#: Marks checks that an image without Airflow passes, too.
FOREIGN = pytest.mark.foreign
_NO_AIRFLOW = "the image has no Airflow: its Dockerfile declares no argument AIRFLOW_VERSION"
#: The checks that run Airflow.
_SLOW = ("test_airflow.py", "test_chart.py", "test_compose.py")


class Result(NamedTuple):
    """The result of a check."""

    check: str
    outcome: str  # passed, failed or skipped
    seconds: float
    message: str = ""  # why it failed or was skipped


@dataclass(frozen=True)
class Plugin:
    """Hands the image to the fixtures, announces each group of checks, and collects results."""

    target: Target
    announce: Announce
    results: list[Result] = field(default_factory=list)
    interrupts: list[BaseException] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    broken: dict[Path, str] = field(default_factory=dict)  # why a file cannot be used
    collected: set[Path] = field(default_factory=set)  # the files that have checks

    def pytest_configure(self, config: pytest.Config) -> None:
        """Keep the image, register the markers, and show names as the results have them."""
        config.stash[TARGET] = self.target
        # Else the project's files seem to be in the folder of the checks.
        config.cwd_relative_nodeid = lambda nodeid: nodeid  # type: ignore[method-assign]
        config.addinivalue_line("markers", "only(kind): for this kind of image only")
        config.addinivalue_line("markers", "contract: for any image, whoever built it")
        config.addinivalue_line("markers", "foreign: also for an image without Airflow")

    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Dir | None:
        """Give the folders around a file of the project no names: `-k` would match them."""
        if not any(path in file.parents for file in self.target.checks):
            return None
        folder = pytest.Dir.from_parent(parent, path=path)
        folder.name = ""
        return folder

    def pytest_pycollect_makemodule(
        self, module_path: Path, parent: pytest.Collector
    ) -> pytest.Module | None:
        """Name a file of the project by its folder and itself; it is not below the root."""
        if module_path not in self.target.checks:
            return None
        name = f"{module_path.parent.name}/{module_path.name}"
        return pytest.Module.from_parent(parent, path=module_path, name=name, nodeid=name)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Keep why a file cannot be imported."""
        try:
            report = yield
        except SystemExit as error:  # pytest would end with a traceback
            report = pytest.CollectReport(
                collector.nodeid, "failed", f"SystemExit: {error}", result=[]
            )
        if report.failed:
            lines = str(report.longrepr).strip().splitlines()
            errors = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
            self.broken[collector.path] = (errors or lines)[-1]
        return report

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Keep which files have checks."""
        self.collected.add(item.path)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drop the checks that are not for this image; the slow and the project's own are last."""
        own = self.target.checks
        for file in own:
            if file not in self.collected:
                self.broken.setdefault(file, "has no check: expected functions named test_...")
                items.clear()
        items.sort(key=lambda item: (item.path in own, item.path.name in _SLOW))
        kind, contract = self.target.build.kind, self.target.contract
        items[:] = [
            item
            for item in items
            if all(mark.args[0] is kind for mark in item.iter_markers("only"))
            and (not contract or item.get_closest_marker("contract"))
        ]
        for item in items if self.target.foreign else ():
            if item.path not in own and not item.get_closest_marker("foreign"):
                item.add_marker(pytest.mark.skip(reason=_NO_AIRFLOW))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Announce the number of checks, and that they take a while."""
        if self.broken:
            return
        groups = Counter(_group(item.nodeid) for item in session.items)
        for number, (group, checks) in enumerate(groups.items(), 1):
            self.groups[group] = f"[{number}/{len(groups)}] {group}: {plural(checks, 'check')}"
        total = f"{plural(groups.total(), 'check')} in {plural(len(groups), 'group')}"
        minutes = ", which take several minutes: they run Airflow" if "airflow" in groups else ""
        self.announce(f"{self.target.image.reference}: running {total}{minutes}")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Announce the group of a check, if it is the first one."""
        if line := self.groups.pop(_group(nodeid), ""):
            self.announce(line)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Keep the exception that interrupts the run; pytest only returns a status."""
        self.interrupts.append(excinfo.value)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result of a check, or the failure of a fixture."""
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.partition("::")[2]
            seconds = round(report.duration, 3)
            self.results.append(Result(name, report.outcome, seconds, _message(report)))


def _group(nodeid: str) -> str:
    """Return the group of a check: `airflow` for `test_airflow.py::test_x`."""
    return nodeid.partition("::")[0].rpartition("test_")[2].removesuffix(".py")


def _message(report: pytest.TestReport) -> str:
    """Return why a check failed or was skipped, without a traceback."""
    reason = report.longrepr
    if isinstance(reason, tuple):
        return reason[2].removeprefix("Skipped: ")
    crash = getattr(reason, "reprcrash", None)
    return str(crash.message if crash else reason or "").removeprefix("Failed: ")


def script(name: str) -> str:
    """Return a shell script to run in a container."""
    return (Path(__file__).parent / "scripts" / f"{name}.sh").read_text(encoding="utf-8")


def skip_if_arbitrary(target: Target) -> None:
    """Skip the check if the project may have put anything into the image."""
    if target.arbitrary:
        pytest.skip("what is in it is up to a Dockerfile or script of the project")


def skip_without_default_database(target: Target) -> None:
    """Skip the check if the project has set the database of the image."""
    if target.names_database:
        pytest.skip("a variable of the image names its database")


def expect(holds: object, message: str) -> None:
    """Fail the check with a message, unless the first argument is true."""
    if not holds:
        pytest.fail(escaping.plain(message), pytrace=False)


def expect_success(completed: Completed, message: str) -> None:
    """Fail the check with a message and the end of the errors, unless a command succeeded."""
    expect(not completed.returncode, f"{message}: {completed.stderr.strip()[-500:]}")
