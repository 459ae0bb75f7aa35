"""How fast the events of a build become its record, and in how much memory.

    python benchmarks/record.py [EVENTS]

A build of 200 steps that talks without end, as buildx 0.29 writes it.
"""

from __future__ import annotations

import base64
import json
import resource
import sys
import time
from collections.abc import Iterator

from build_tasks.history.record import BuildRecord
from build_tasks.history.recorder import Recorder

STEPS = 200
PIECE = 65536


def events(count: int) -> Iterator[bytes]:
    """Yield the events: every step begins, writes, transfers and ends."""
    data = base64.b64encode(b"Collecting something==1.2.3 (from -r requirements)\n" * 20).decode()
    for number in range(count):
        digest = f"sha256:{number % STEPS:064d}"
        stamp = f"2026-01-02T03:{number // 60000 % 60:02d}:{number / 1000 % 60:012.9f}Z"
        vertex = {"digest": digest, "name": f"[main {number % STEPS + 2}/{STEPS + 1}] RUN x"}
        status = {"id": "sha256:1", "vertex": digest, "current": number, "timestamp": stamp}
        log = {"vertex": digest, "stream": 1, "data": data, "timestamp": stamp}
        turns: dict[int, dict[str, object]] = {
            0: {"vertexes": [{**vertex, "started": stamp}]},
            1: {"statuses": [{**status, "started": stamp}]},
            9: {"vertexes": [{**vertex, "started": stamp, "completed": stamp}]},
        }
        turn = turns.get(number // STEPS % 10, {"logs": [log]})
        yield json.dumps(turn, separators=(",", ":")).encode() + b"\n"


def main() -> None:
    """Print events and megabytes per second, and the memory that this took."""
    count = int(sys.argv[1]) if sys.argv[1:] else 100_000
    recorder = Recorder(live=False)
    size, spent, buffer = 0, 0.0, b""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for event in events(count):
        buffer += event
        if len(buffer) >= PIECE:
            began = time.perf_counter()
            recorder.feed(buffer)
            spent += time.perf_counter() - began
            size += len(buffer)
            buffer = b""
    recorder.feed(buffer)
    recorder.end()
    steps = len(recorder.record(BuildRecord("benchmark")).steps)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    print(
        f"{count} events, {size / 1e6:.0f} MB, {steps} steps: {spent:.2f} s, "
        f"{count / spent:.0f} events/s, {size / 1e6 / spent:.0f} MB/s, {grown:.0f} MB more memory"
    )


if __name__ == "__main__":
    main()
