"""Render the templates of this package: the page, the step summary and JUnit's XML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from build_tasks.report import facts
from build_tasks.text import escaping
from build_tasks.text.formatting import duration, size

FOLDER = Path(__file__).parent


def render(name: str, escape: Callable[[str], str] = escaping.plain, **values: Any) -> str:
    """Return a document.

    Args:
        name: the template.
        escape: makes each value safe, unless it is Markup; those of HTML and XML are escaped after.
        values: the variables of the template, beside `facts`.
    """
    import jinja2  # noqa: PLC0415 - it is slow to import, and most runs have no document

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=jinja2.select_autoescape(("html", "xml")),
        finalize=lambda value: value if isinstance(value, Markup) else escape(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "duration": duration,
        "size": size,
        "number": lambda value: f"{value:.3f}".rstrip("0").rstrip("."),
    }
    return environment.get_template(name).render(facts=facts, **values)
