"""A silent build announces what it waits for, and a run can be stopped at any time."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from fake_docker import Bench

#: Says what it begins, and then nothing for a while.
SILENT = """\
#!/bin/sh
case "$1" in
  build) ;;
  *) exec "$0.real" "$@" ;;
esac
printf '%s\\n' "$FAKE_EVENT" >&2
sleep 3
exec "$0.real" "$@"
"""
EVENT = json.dumps(
    {
        "vertexes": [
            {"digest": f"sha256:{name}", "name": name, "started": "2026-01-01T00:00:00Z"}
            for name in ("importing cache manifest from r/i:c", "[internal] load metadata for x")
        ]
    }
)


@pytest.mark.parametrize("pythons", ["3.11", "3.9,3.11"])
@pytest.mark.parametrize("event", [EVENT, ""])
def test_a_silent_build_announces_what_it_waits_for(bench: Bench, pythons: str, event: str) -> None:
    there = bench.copy(bench.folder / "project")
    attempt = there.root / "build_tasks" / "buildx" / "attempt.py"
    attempt.write_text(attempt.read_text().replace("QUIET = 15.0", "QUIET = 1.0"))
    for program in ("docker-config/cli-plugins/docker-buildx", "bin/docker"):
        path = bench.folder / program
        path.rename(f"{path}.real")
        path.write_text(SILENT)
        path.chmod(0o755)
    done = there.invoke("image.build", "--python", pythons, FAKE_EVENT=event)
    assert done.returncode == 0, done.stderr
    names = [f"ci-{python}-amd64" for python in pythons.split(",")]
    what = (
        "running: importing cache manifest from r/i:c; load metadata for x"
        if event
        else "waiting for the builder "
    )
    for name in names:
        said = [line for line in done.stderr.splitlines() if f"{name}: no output for " in line]
        assert [line.partition(": ")[2].partition(" s, ")[0] for line in said] == [
            "no output for 1",
            "no output for 2",
        ]
        assert all(what in line for line in said)
        (log,) = {one.resolve() for one in Path(bench.folder, "cache", "logs").rglob(f"{name}.log")}
        assert log.read_text().count("no output for ") == 2


def stopped(bench: Bench, mark: Path, *command: str) -> tuple[int, str, float]:
    """Return how a command ends, and after how long, on ^C at the time that the mark is there."""
    with bench.start(*command) as process:
        until = time.monotonic() + 60
        while not mark.exists() and time.monotonic() < until:
            time.sleep(0.02)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=40)
    return process.returncode, err, time.monotonic() - began


INVOKE = ("invoke", "image.build", "--python", "3.11", "--dry-run")
NOX = ("nox", "-s", "build_ci-3.11", "--", "--dry-run")


@pytest.mark.parametrize("command", [INVOKE, NOX], ids=["invoke", "nox"])
def test_ctrl_c_during_imports_prints_no_traceback(bench: Bench, command: tuple[str, ...]) -> None:
    there = bench.copy(bench.folder / "project")
    mark = bench.folder / "reached"
    module = there.root / "build_tasks" / "model" / "matrix.py"
    pause = f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(30)\n"
    text = module.read_text()
    future = "from __future__ import annotations\n"
    module.write_text(text.replace(future, f"{future}{pause}"))
    code, err, took = stopped(there, mark, *command)
    assert (code, err) == (130, "")
    assert took < 20


@pytest.mark.parametrize("command", [INVOKE, NOX], ids=["invoke", "nox"])
def test_ctrl_c_ends_a_slow_git(bench: Bench, command: tuple[str, ...]) -> None:
    mark = bench.folder / "reached"
    git = bench.folder / "bin" / "git"
    git.write_text(f"#!/bin/sh\necho $$ >> {mark}\nexec sleep 60\n")
    git.chmod(0o755)
    code, err, took = stopped(bench, mark, *command)
    assert code == 130
    assert "Traceback" not in err
    assert took < 20
    for pid in mark.read_text().split():
        assert not Path("/proc", pid).exists()
