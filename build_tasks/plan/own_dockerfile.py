"""Make the Dockerfile of an own image that has none (a first form: helper A replaces this file)."""

from __future__ import annotations

from collections.abc import Sequence

from build_tasks.model.matrix import ImageKind
from build_tasks.model.own_image import OwnImage


def text(image: OwnImage, kind: ImageKind, *, python: str, apt: Sequence[str]) -> str:
    """Return the text of the Dockerfile."""
    del image, kind, python, apt
    return (
        "ARG AIRFLOW_IMAGE\nFROM scratch AS dags\nFROM ${AIRFLOW_IMAGE}\nCOPY --from=dags . /dags\n"
    )
