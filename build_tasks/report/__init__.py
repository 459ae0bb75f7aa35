"""Reports of builds: for a terminal, a step's summary, a test view, a browser, a program."""

from __future__ import annotations

from build_tasks.report.junit import junit
from build_tasks.report.markdown import markdown, publish
from build_tasks.report.page import html
from build_tasks.report.summary import summary

__all__ = ["html", "junit", "markdown", "publish", "summary"]
