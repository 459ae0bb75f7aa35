"""Render the templates of this package: JUnit's XML, the page and the step summary."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from build_tasks.history.record import BuildRecord
from build_tasks.report import facts
from build_tasks.text import escaping
from build_tasks.text.formatting import duration, size

FOLDER = Path(__file__).parent
#: Lines of a failed step's log in JUnit's XML.
LOG = 50


def render(name: str, escape: Callable[[str], str] = escaping.plain, **values: Any) -> str:
    """Return a template with its values, each made safe by `escape` unless it is Markup.

    In HTML and XML, values are escaped after that.
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


def junit(records: Sequence[BuildRecord]) -> str:
    """Return records as JUnit XML for the test views of CI systems, each as a test case."""
    began = min((record.began for record in records if record.began), default="")
    whole_seconds = re.sub(r"\.\d+", "", began)  # Jenkins takes no others
    return render("junit.xml", records=records, began=whole_seconds, LOG=LOG)
