"""Reports of builds: for a terminal, a step's summary, a test view, a browser, a program."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from build_tasks.report.junit_xml import junit
    from build_tasks.report.page import html
    from build_tasks.report.step_summary import markdown, publish
    from build_tasks.report.terminal import brief, summary

__all__ = ["brief", "html", "junit", "markdown", "publish", "summary"]
#: Where each is; a build needs one of them, whose libraries alone are to be loaded.
_HOMES = {
    "brief": "terminal",
    "html": "page",
    "junit": "junit_xml",
    "markdown": "step_summary",
    "publish": "step_summary",
    "summary": "terminal",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
