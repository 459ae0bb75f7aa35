"""What buildx 0.29.1 (Docker 28.5.2) and 0.13.1 (26.1.5) wrote of small builds, and events."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from build_tasks.history.record import BuildRecord, CacheUse, StepKind
from build_tasks.history.recorder import Recorder

STREAMS = Path(__file__).parent / "data" / "streams"
CACHE = "localhost:5000/airflow/ci:cache"
BOTH = pytest.mark.parametrize("version", ["0.29", "0.13"])


def stream(version: str, name: str) -> bytes:
    return gzip.decompress((STREAMS / version / f"{name}.txt.gz").read_bytes())


def recorded(text: bytes, piece: int = 1000, **how: Any) -> Recorder:
    recorder = Recorder(live=False, **how)
    for at in range(0, len(text), piece):
        recorder.feed(text[at : at + piece])
    recorder.end()
    return recorder


def record(text: bytes, export: str = CACHE, **how: Any) -> BuildRecord:
    return recorded(text, **how).record(BuildRecord("ci-3.11-amd64", export=CacheUse(export)))


def steps(one: BuildRecord) -> list[tuple[str, int, bool]]:
    return sorted((s.stage, s.number, s.cached) for s in one.steps if s.kind is StepKind.STEP)


def lines(*events: object) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def vertex(digest: str = "a", name: str = "[main 2/2] RUN x", **more: object) -> dict[str, object]:
    return {"vertexes": [{"digest": digest, "name": name, **more}]}


def at(second: float) -> str:
    return f"2026-01-02T03:04:{second:012.9f}Z"
