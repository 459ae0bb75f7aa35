"""JUnit XML for the test views of CI systems: one test case for each build."""

from __future__ import annotations

import re
from collections.abc import Sequence

from build_tasks.history.record import BuildRecord
from build_tasks.report import documents

#: Lines of a failed step's log.
LOG = 50


def junit(records: Sequence[BuildRecord]) -> str:
    """Return records as JUnit XML."""
    began = min((record.began for record in records if record.began), default="")
    whole_seconds = re.sub(r"\.\d+", "", began)  # Jenkins takes no others
    return documents.render("junit.xml", records=records, began=whole_seconds, LOG=LOG)
