"""What edits of a Dockerfile mean: the verdict of a check against what BuildKit was seen to do."""

from __future__ import annotations

import pytest
from edits import ARGUMENTS, DOCKERFILE, EDITS, FILES, Edit

from build_tasks.inputs import dockerfile, dockerignore, fingerprint


def fingerprint_after(edit: Edit) -> str:
    files = {name: text for name, text in {**FILES, **edit.files}.items() if text is not None}
    excluded = dockerignore.parse(files.pop(".dockerignore").splitlines())
    seen = {
        name: f"{100755 if edit.executable and name in edit.files else 100644} {text}"
        for name, text in files.items()
        if not excluded.match(name)
    }
    arguments = {"BASE_IMAGE": "b", "SALT": "s", **ARGUMENTS, **edit.arguments}
    text = dockerfile.parse(edit.dockerfile())
    return fingerprint.gather(text, arguments, seen).fingerprint


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_an_image_is_out_of_date_where_a_build_would_make_another_one(edit: Edit) -> None:
    changed = fingerprint.changed(fingerprint_after(Edit("none")), fingerprint_after(edit))
    assert bool(changed) is (edit.changes or edit.unseen)


def test_the_corpus_is_one() -> None:
    assert len(EDITS) >= 53
    assert len({edit.name for edit in EDITS}) == len(EDITS)
    assert sum(edit.unseen for edit in EDITS) <= 5
    assert DOCKERFILE.count("FROM") == 4
