"""Print what eight builds that have nothing to do cost together, as ratios to buildx itself.

The eight are the real images: CI and PROD with four Pythons, pushed. They are made first, if they
are not there; then all ways make them again in turns, in one run: the suite, `docker buildx bake`
with the suite's own plan, and eight `docker buildx build` in sequence. The ratios are meant, the
seconds only say of what. Give options of the build after the rounds:
`matrix.py 5 --cache-mode local`.
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
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Those that the embedded engine has base images for.
PYTHONS = ("3.9", "3.11", "3.13", "3.14")
SELECTED = ("--kind", "ci,prod", "--python", ",".join(PYTHONS))
#: What the suite promises: at most so many times a bake, at least so many times faster than a row.
AT_MOST, AT_LEAST = 1.5, 1.7
#: Seconds until an engine has ended what it does after a build.
SETTLE = 2.0


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else 5
    options = [*SELECTED, "--push", *sys.argv[2:]]
    invoke = [sys.executable, "-m", "invoke"]
    suite = [*invoke, "image.build", *options]
    # As people have it: Python that may not write bytecode compiles every module in every run.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    run(suite, os.environ)  # starts the engine and builds, if that is still to be done
    lines = said([*suite, "--dry-run"]).splitlines()
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder, "bake.json")
        plan.write_text(said([*invoke, "bake", *options]), encoding="utf-8")
        docker, environment = with_docker(lines[0], Path(folder))
        builds = [[*docker, *arguments(line)] for line in lines]
        bake = [*docker, "bake", "--builder", "default", "--file", str(plan)]
        seconds: dict[str, list[float]] = {"suite": [], "bake": [], "row": []}
        for turn in range(rounds + 1):
            took = {
                "suite": run(suite, os.environ),
                "bake": run(bake, environment),
                "row": sum(
                    run(command, environment, settled=not at) for at, command in enumerate(builds)
                ),
            }
            if turn:  # the first one warms up
                for name, one in took.items():
                    seconds[name].append(one)
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    to_bake, to_row = middle["suite"] / middle["bake"], middle["row"] / middle["suite"]
    count = len(lines)
    print(f"{count} builds with invoke image.build            {middle['suite']:6.3f} s")
    print(f"{count} in one docker buildx bake                 {middle['bake']:6.3f} s")
    print(f"{count} docker buildx build, one after another    {middle['row']:6.3f} s")
    print(f"the suite takes {to_bake:.2f} times as long as bake (promised: at most {AT_MOST})")
    print(f"the suite is {to_row:.2f} times faster than the row (promised: at least {AT_LEAST})")
    if to_bake > AT_MOST or to_row < AT_LEAST:
        sys.exit("a promise is not kept")


def with_docker(line: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return `docker buildx` and the environment that it needs, from a line of a dry run.

    Args:
        line: `env NAME=VALUE ... PLUGIN build ...`.
        folder: gets a docker configuration in which the plugin is found.
    """
    settings, plugin = split(line)[:2]
    (folder / "cli-plugins").mkdir()
    (folder / "cli-plugins" / "docker-buildx").symlink_to(plugin)
    docker = shutil.which("docker") or Path(plugin).parents[4] / "bin" / "docker"
    said = dict(word.split("=", 1) for word in settings)
    # What reaches the engine: the rest spares the suite's own builds something, and is its merit.
    reach = {"BUILDX_CONFIG", "DOCKER_HOST"}
    environment = {name: text for name, text in said.items() if name in reach}
    # The embedded engine's registry asks for a password.
    if "DOCKER_CONFIG" in said:
        shutil.copy(Path(said["DOCKER_CONFIG"], "config.json"), folder)
    # Bake asks whether it may read outside of the working directory; here it may.
    own = {"DOCKER_CONFIG": str(folder), "BUILDX_BAKE_ENTITLEMENTS_FS": "0"}
    return [str(docker), "buildx"], {**os.environ, **environment, **own}


def arguments(line: str) -> list[str]:
    """Return the arguments of buildx in a line of a dry run."""
    return split(line)[2]


def split(line: str) -> tuple[list[str], str, list[str]]:
    """Return variables, program and arguments of a line of a dry run."""
    _, *words = shlex.split(line)
    settings = list(itertools.takewhile(lambda word: "=" in word, words))
    plugin, *rest = words[len(settings) :]
    return settings, plugin, rest


def run(command: list[str], environment: Mapping[str, str], *, settled: bool = True) -> float:
    """Run a command to its end and return the seconds that it took.

    Args:
        command: what is run.
        environment: its environment.
        settled: let the engine first end what it still does for the command before: it writes the
            history of its builds, and collects garbage, when those have long their answer.
    """
    time.sleep(SETTLE if settled else 0)
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def said(command: list[str]) -> str:
    """Return what a command writes to stdout."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
