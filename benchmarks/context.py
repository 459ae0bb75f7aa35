"""Print what preparing the context of a monorepo costs, beside `git checkout` of the same files.

A folder of its own holds the repository, which is laid out as Airflow's, and what is kept of it.
The rounds of all rows alternate, so that a busy machine slows all of them. Each figure is a median,
and the ratio that of the same round. Give another number of files as an argument.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from build_tasks.inputs import context  # noqa: E402 - the project need not be installed

ROUNDS = 7
#: The numbers of files of which the memory is shown.
MEMORY = (2_000, 20_000)
#: Preparations after which the memory is asked for, beside the first.
BUILDS = 10
#: Seconds before each measurement, so that no file was written just now.
PAUSE = 0.2
PER_FOLDER = 12
LINK_EACH = 400
#: Bytes of a file, in turns: about those of Airflow's.
SIZES = (0, 800, 2500, 5000, 9000, 25000)
#: Out of 20 files, those of each folder.
FOLDERS = (
    *["providers/p{0}/src/airflow/providers/p{0}/hooks/part{1}"] * 5,
    *["providers/p{0}/tests/unit/p{0}/hooks/part{1}"] * 4,
    *["providers/p{0}/docs/part{1}"] * 2,
    *["airflow-core/src/airflow/package{0}/part{1}"] * 4,
    *["airflow-core/tests/unit/package{0}/part{1}"] * 2,
    *["task-sdk/src/airflow/sdk/package{0}/part{1}"] * 1,
    *["dev/package{0}/part{1}"] * 2,
)
PACKAGES = 90
#: As Airflow's: all is left out, then some folders enter, then some of their files are left out.
DOCKERIGNORE = """\
**
!airflow-core
!task-sdk
!devel-common
!shared
!providers
!scripts/docker
!docker_tests
!generated
!pyproject.toml
!uv.lock
!LICENSE
!NOTICE
!.dockerignore
**/__pycache__
**/*.py[cod]
**/.mypy_cache
**/.pytest_cache
**/node_modules
**/*.egg-info
**/.DS_Store
airflow-core/src/airflow/ui/.vite
airflow-core/docs/_build
providers/**/docs/_api
logs/
"""
GITIGNORE = "__pycache__/\nnode_modules/\n/airflow-core/src/airflow/ui/dist/\n*.pyc\n"
UI = "airflow-core/src/airflow/ui"
EDITED = "airflow-core/src/airflow/package0/part0/m0.py"


@dataclass(frozen=True)
class Cost:
    """What something takes: seconds, and seconds of processors, those of child processes, too."""

    elapsed: float
    busy: float


def main() -> None:
    """Measure and print."""
    words = sys.argv[1:]
    if words[:1] == ["--memory"]:
        print(*memory(Path(words[1])))
        return
    files = int(words[0]) if words else 20_000
    with tempfile.TemporaryDirectory() as folder:
        show(rounds(repository(Path(folder), files)))
    for files in MEMORY:
        with tempfile.TemporaryDirectory() as folder:
            tree = repository(Path(folder), files)
            command = (sys.executable, __file__, "--memory", str(tree))
            found = subprocess.run(command, check=True, capture_output=True, text=True)
            first, later = found.stdout.split()
            print(f"{files:6} files: {first} MB at most after one preparation, {later} after more")


def repository(folder: Path, files: int) -> Path:
    """Return a repository with that many files that git tracks, and some that it ignores."""
    tree = folder / "tree"
    for number in range(files):
        part = number // len(FOLDERS) // PER_FOLDER
        place = FOLDERS[number % len(FOLDERS)].format(part % PACKAGES, part // PACKAGES)
        file = tree / place / f"m{number // len(FOLDERS) % PER_FOLDER}-{number % len(FOLDERS)}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        if number % LINK_EACH == LINK_EACH - 1:
            file.symlink_to("m0.py")
        else:
            line = b"value = %d\n" % number
            file.write_bytes((line * (SIZES[-1] // len(line)))[: SIZES[number % len(SIZES)]])
    for number in range(files // 10):
        for ignored in ("dist", f"node_modules/package{number // PER_FOLDER}"):
            file = tree / UI / ignored / f"{number}.js"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{number};\n")
    (tree / EDITED).write_text("turn = 0\n")
    (tree / ".dockerignore").write_text(DOCKERIGNORE)
    (tree / ".gitignore").write_text(GITIGNORE)
    git(tree, "init", "--quiet")
    git(tree, "config", "gc.auto", "0")  # not beside what is measured
    git(tree, "add", "--all")
    git(tree, "-c", "user.name=b", "-c", "user.email=b@b", "commit", "--quiet", "-m", "All")
    git(tree, "gc", "--quiet")
    return tree


def rounds(tree: Path) -> dict[str, list[Cost]]:
    """Return the costs of each row, one for each round."""
    cache, other = tree.parent / "cache", tree.parent / "checkout"
    os.environ["AIRFLOW_IMAGES_CACHE"] = str(cache)
    rows: dict[str, Callable[[], object]] = {
        "git checkout": lambda: git(other, "checkout", "--quiet", "HEAD"),
        "first time": lambda: prepare(tree),
        "unchanged": lambda: prepare(tree),
        "one file changed": lambda: changed(tree),
        "git status": lambda: git(tree, "status", "--porcelain"),
    }
    found: dict[str, list[Cost]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        shutil.rmtree(cache, ignore_errors=True)
        shutil.rmtree(other, ignore_errors=True)
        git(tree.parent, "clone", "--quiet", "--shared", "--no-checkout", str(tree), str(other))
        for name, act in rows.items():
            time.sleep(PAUSE)
            found[name].append(cost(act))
    return found


def show(found: dict[str, list[Cost]]) -> None:
    """Print a row for each measured thing."""
    print(f"{'':18}{'elapsed':>9}{'busy':>9}   times git checkout: elapsed, busy")
    base = found["git checkout"]
    for name, costs in found.items():
        elapsed, busy = (
            statistics.median(getattr(c, part) for c in costs) for part in ("elapsed", "busy")
        )
        ratios = [
            statistics.median(
                getattr(c, part) / getattr(b, part) for c, b in zip(costs, base, strict=True)
            )
            for part in ("elapsed", "busy")
        ]
        print(f"{name:18}{elapsed:8.3f}s{busy:8.3f}s   {ratios[0]:5.2f}  {ratios[1]:5.2f}")


def memory(tree: Path) -> tuple[int, int]:
    """Return the megabytes that this process has had at most, after one preparation and more."""
    os.environ["AIRFLOW_IMAGES_CACHE"] = str(tree.parent / "cache")
    found = []
    for turns in (1, BUILDS):
        for _ in range(turns):
            changed(tree)
        status = Path("/proc/self/status").read_text(encoding="ascii")
        found.append(int(status.split("VmHWM:")[1].split()[0]) // 1024)
    return found[0], found[1]


def git(folder: Path, *arguments: str) -> None:
    """Run git to its end."""
    command = ["git", "-C", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True)


def prepare(tree: Path) -> context.Prepared:
    """Do what is measured."""
    return context.prepare(tree, context.Allowed(), lambda _: None)


def changed(tree: Path) -> context.Prepared:
    """Edit a file and prepare."""
    (tree / EDITED).write_text(f"edited = {time.time_ns()}\n")
    return prepare(tree)


def cost(act: Callable[[], object]) -> Cost:
    """Return what something takes."""
    began, before = time.perf_counter(), sum(os.times()[:4])
    act()
    return Cost(time.perf_counter() - began, sum(os.times()[:4]) - before)


if __name__ == "__main__":
    main()
