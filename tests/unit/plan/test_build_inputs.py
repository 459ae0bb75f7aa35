"""What goes into a build, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import specs

from build_tasks.errors import UsageError
from build_tasks.plan import build_inputs


def test_a_dockerfile_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    spec = specs.make(dockerfile=tmp_path / "none", context=tmp_path)
    with pytest.raises(UsageError, match=r"none: cannot be read: "):
        build_inputs.collect(spec)


def test_a_dockerfile_that_declares_source_date_epoch_gets_it(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM x\nRUN true\n")
    spec = specs.make(dockerfile=file, context=tmp_path, epoch="17")
    assert build_inputs.add_fingerprint_label(spec).inputs.arguments == ()
    file.write_text("FROM x\nARG SOURCE_DATE_EPOCH\nRUN true\n")
    made = build_inputs.add_fingerprint_label(spec)
    assert made.inputs.arguments == (("SOURCE_DATE_EPOCH", "17"),)
    assert made.inputs.content
    assert made.inputs.content.arguments == {"SOURCE_DATE_EPOCH": "17"}
    assert build_inputs.add_fingerprint_label(specs.change(spec, epoch="")).inputs.arguments == ()
