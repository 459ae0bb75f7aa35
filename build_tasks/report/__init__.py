"""Reports of builds: for a terminal, a step's summary, a test view, a browser, a program."""

from __future__ import annotations

from build_tasks.report.cases import junit
from build_tasks.report.github import markdown, publish
from build_tasks.report.page import html
from build_tasks.report.terminal import summary

__all__ = ["html", "junit", "markdown", "publish", "summary"]
