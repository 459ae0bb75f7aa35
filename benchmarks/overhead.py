"""Print what a build that has nothing to do costs through invoke and nox, as ratios to buildx.

All ways make the same image on the same engine, in turns, in one run: the ratios are meant, the
seconds only say of what. Give options of the build after the rounds: `overhead.py 9 --cache local`.
"""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "3.11"


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else 9
    options = sys.argv[2:]
    invoke = [sys.executable, "-m", "invoke", "image.build", "--python", PYTHON, *options]
    nox = [sys.executable, "-m", "nox", "-s", f"build_ci-{PYTHON}", "--", *options]
    run(invoke, os.environ)  # starts the engine and builds, if that is still to be done
    line = subprocess.run(
        [*invoke, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        raw, environment = with_docker(shlex.split(line), Path(folder))
        ways = {
            "docker buildx build": (raw, environment),
            "invoke --version": ([*invoke[:3], "--version"], dict(os.environ)),
            "invoke image.build": (invoke, dict(os.environ)),
            "nox -s build_ci": (nox, dict(os.environ)),
            "nox, own environment off": (nox, {**os.environ, "NOX_SCRIPT_MODE": "none"}),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, (command, variables) in ways.items():
                took = run(command, variables)
                if turn:  # the first one warms up
                    seconds[name].append(took)
    base = statistics.median(seconds["docker buildx build"])
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"{name:26} {middle:6.3f} s   {middle / base:5.2f} times docker buildx build")


def with_docker(words: list[str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return a dry run's command as `docker buildx`, and the environment that it needs.

    Args:
        words: `env NAME=VALUE ... PLUGIN build ...`.
        folder: gets a docker configuration in which the plugin is found.
    """
    settings = list(itertools.takewhile(lambda word: "=" in word, words[1:]))
    plugin, *rest = words[1 + len(settings) :]
    (folder / "cli-plugins").mkdir()
    (folder / "cli-plugins" / "docker-buildx").symlink_to(plugin)
    environment = dict(word.split("=", 1) for word in settings)
    docker = shutil.which("docker") or Path(plugin).parents[4] / "bin" / "docker"
    return [str(docker), "buildx", *rest], {
        **os.environ,
        **environment,
        "DOCKER_CONFIG": str(folder),
    }


def run(command: list[str], environment: os._Environ[str] | dict[str, str]) -> float:
    """Run a command to its end and return the seconds that it took."""
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
