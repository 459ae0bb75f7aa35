"""JUnit XML, the form that test views of CI systems read: a test case for each build.

The elements and their order are those of Jenkins' junit-10.xsd, with the properties inside of a
test case where pytest writes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from build_tasks.history.record import BuildRecord
from build_tasks.report import facts
from build_tasks.text import escaping

#: Lines of a failed step's log.
LOG = 50
_SKIPPED = {"skipped", "cancelled"}


def junit(records: Sequence[BuildRecord]) -> str:
    """Return builds as JUnit XML."""
    failed = sum(one.outcome not in {"built", *_SKIPPED} for one in records)
    counts = {
        "name": "airflow-images",
        "tests": str(len(records)),
        "failures": str(failed),
        "errors": "0",
        "skipped": str(sum(one.outcome in _SKIPPED for one in records)),
        "time": f"{sum(one.seconds for one in records):.3f}",
    }
    # Jenkins knows no `skipped` on the outermost element.
    root = ET.Element("testsuites", {k: v for k, v in counts.items() if k != "skipped"})
    began = min((one.began for one in records if one.began), default="")
    suite = ET.SubElement(root, "testsuite", counts)
    if began:
        suite.set("timestamp", escaping.xml(re.sub(r"\.\d+", "", began)))  # Jenkins: seconds
    for record in records:
        _case(suite, record)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: ET.Element, record: BuildRecord) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=escaping.xml(f"airflow-images.{record.kind or 'image'}"),
        name=escaping.xml(record.identity),
        time=f"{record.seconds:.3f}",
    )
    ran, cached = facts.counted(record)
    said = {
        "run": record.run,
        "image": record.image,
        "digest": record.digest,
        "platforms": ", ".join(record.platforms),
        "steps-run": str(ran),
        "steps-cached": str(cached),
        "attempts": str(record.attempts),
    }
    properties = ET.SubElement(case, "properties")
    for name, value in said.items():
        if value:
            ET.SubElement(properties, "property", name=name, value=escaping.xml(value))
    if record.outcome in _SKIPPED:
        ET.SubElement(case, "skipped", message=escaping.xml(record.message or record.outcome))
    elif record.outcome != "built":
        step = facts.failed_step(record)
        lines = [facts.named(step), *facts.log(step, LOG)] if step else [record.message]
        kind = escaping.xml(record.failure or record.outcome)
        failure = ET.SubElement(case, "failure", type=kind, message=escaping.xml(record.message))
        failure.text = escaping.xml("\n".join(lines))
    if lost := facts.lost(record):
        ET.SubElement(case, "system-err").text = escaping.xml("\n".join(lost))
