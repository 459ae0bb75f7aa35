"""JUnit XML for the test views of CI systems: one test case for each build.

Elements and their order follow Jenkins' junit-10.xsd; properties are inside of a test case, as
pytest writes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from build_tasks.history.record import BuildRecord
from build_tasks.report import facts
from build_tasks.text.escaping import xml

#: Lines of a failed step's log.
LOG = 50
_SKIPPED = {"skipped", "cancelled"}


def junit(records: Sequence[BuildRecord]) -> str:
    """Return records as JUnit XML."""
    failures = sum(record.outcome not in {"built", *_SKIPPED} for record in records)
    counts = {
        "name": "airflow-images",
        "tests": str(len(records)),
        "failures": str(failures),
        "errors": "0",
        "time": f"{sum(record.seconds for record in records):.3f}",
    }
    root = ET.Element("testsuites", counts)
    skipped = sum(record.outcome in _SKIPPED for record in records)
    suite = ET.SubElement(root, "testsuite", counts, skipped=str(skipped))
    if began := min((record.began for record in records if record.began), default=""):
        suite.set("timestamp", xml(re.sub(r"\.\d+", "", began)))  # Jenkins takes whole seconds
    for record in records:
        _add_case(suite, record)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_case(suite: ET.Element, record: BuildRecord) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=xml(f"airflow-images.{record.kind or 'image'}"),
        name=xml(record.identity),
        time=f"{record.seconds:.3f}",
    )
    ran, cached = facts.counted(record)
    values = {
        "run": record.run,
        "commit": record.commit,
        "branch": record.branch,
        "builder": record.builder,
        "image": record.image,
        "digest": record.digest,
        "platforms": ", ".join(record.platforms),
        "steps-run": str(ran),
        "steps-cached": str(cached),
        "attempts": str(record.attempts),
    }
    properties = ET.SubElement(case, "properties")
    for name, value in values.items():
        if value:
            ET.SubElement(properties, "property", name=name, value=xml(value))
    message = xml(record.message)
    if record.outcome in _SKIPPED:
        ET.SubElement(case, "skipped", message=message or xml(record.outcome))
    elif record.outcome != "built":
        step = facts.failed_step(record)
        lines = [facts.named(step), *facts.log(step, LOG)] if step else [record.message]
        kind = xml(record.failure or record.outcome)
        failure = ET.SubElement(case, "failure", type=kind, message=message)
        failure.text = xml("\n".join(lines))
    if problems := facts.cache_problems(record):
        ET.SubElement(case, "system-err").text = xml("\n".join(problems))
