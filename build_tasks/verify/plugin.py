"""What joins pytest and a verification: the target goes in, the results come out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from build_tasks.model.matrix import ImageKind
from build_tasks.text import escaping
from build_tasks.verify.target import Target

TARGET = pytest.StashKey[Target]()
#: Marks of checks that are for one image.
PROD = pytest.mark.only(ImageKind.PROD)
CI = pytest.mark.only(ImageKind.CI)


@dataclass(frozen=True)
class Result:
    """What came of one check.

    Args:
        check: its name.
        outcome: passed, failed or skipped.
        seconds: how long it took.
        message: why it failed or was skipped.
    """

    check: str
    outcome: str
    seconds: float
    message: str = ""


@dataclass(frozen=True)
class Packages:
    """The Python distributions of the image, and what markers of requirements are about."""

    environment: dict[str, str]
    distributions: list[dict[str, Any]]


@dataclass(frozen=True)
class Plugin:
    """A plugin of pytest that holds the target and collects the results."""

    target: Target
    results: list[Result] = field(default_factory=list)
    stopped: list[BaseException] = field(default_factory=list)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Put the target where the checks find it."""
        config.stash[TARGET] = self.target

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Keep what stopped the run: pytest itself only says that something did."""
        self.stopped.append(excinfo.value)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what came of a check, or of what it needs."""
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.partition("::")[2]
            seconds = round(report.duration, 3)
            self.results.append(Result(name, report.outcome, seconds, _message(report)))


def _message(report: pytest.TestReport) -> str:
    """Return why a check failed or was skipped, without the way there."""
    said = report.longrepr
    if isinstance(said, tuple):
        return said[2].removeprefix("Skipped: ")
    crash = getattr(said, "reprcrash", None)
    return str(crash.message if crash else said or "").removeprefix("Failed: ")


def expect(holds: object, message: str) -> None:
    """Fail the check with this message, unless it holds."""
    if not holds:
        pytest.fail(escaping.plain(message), pytrace=False)
