"""Print what preparing a context of 10,000 files costs, beside what git needs for its status.

Each figure is a median but the first, which is one; a folder of its own holds the files and what is
kept of them. Give another number of files as an argument.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from build_tasks.inputs import context  # noqa: E402 - the project need not be installed

ROUNDS = 7
PER_FOLDER = 10
#: Bytes of a file, in turns: about those of Airflow's.
SIZES = (0, 600, 3000, 8000, 20000)


def main() -> None:
    """Measure and print."""
    files = int(sys.argv[1]) if sys.argv[1:] else 10_000
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AIRFLOW_IMAGES_CACHE"] = f"{folder}/cache"
        tree = Path(folder) / "tree"
        fill(tree, files)
        git(tree, "init", "--quiet")
        git(tree, "add", "--all")
        clone = timed(lambda: git(tree.parent, "clone", "--quiet", str(tree), f"{folder}/clone"))
        git(tree, "status")
        status = middle(lambda _: timed(lambda: git(tree, "status", "--porcelain")))
        figures = {
            "git clone": clone,
            "git status": status,
            "first time": timed(lambda: prepare(tree)),
            "unchanged": middle(lambda _: timed(lambda: prepare(tree))),
            "of that, busy": middle(lambda _: busy(tree)),
            "one file changed": middle(lambda turn: changed(tree, turn)),
        }
    for name, took in figures.items():
        print(f"{name:18} {took * 1000:8.1f} ms   {took / status:6.2f} times git status")


def fill(tree: Path, files: int) -> None:
    """Write files, ten to a folder."""
    for number in range(files):
        file = tree / f"package{number // 300}" / f"part{number // PER_FOLDER}" / f"m{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        line = b"value = %d\n" % number
        file.write_bytes((line * (20000 // len(line)))[: SIZES[number % len(SIZES)]])


def git(folder: Path, *arguments: str) -> None:
    """Run git to its end."""
    command = ["git", "-C", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True)


def busy(tree: Path) -> float:
    """Return the seconds of a processor that preparing takes of this process, git apart."""
    began = time.process_time()
    prepare(tree)
    return time.process_time() - began


def prepare(tree: Path) -> context.Prepared:
    """Do what is measured."""
    return context.prepare(tree, context.Allowed(), print)


def changed(tree: Path, turn: int) -> float:
    """Edit a file and return the seconds of preparing then."""
    (tree / "package0/part0/m1.py").write_text(f"turn = {turn}\n")
    return timed(lambda: prepare(tree))


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def middle(act: Callable[[int], float]) -> float:
    """Return the median of some rounds."""
    return statistics.median(act(turn) for turn in range(ROUNDS))


if __name__ == "__main__":
    main()
