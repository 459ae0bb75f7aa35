"""Measure how long Airflow takes to start in PROD images, in turns.

`python benchmarks/start.py IMAGE IMAGE... [--turns N]` runs each command in a new container of each
image, one after another, N times, and prints the medians: wall-clock seconds until a command ends
or a server answers, and CPU seconds of all processes until they have ended. The database is SQLite;
it is migrated before the clock starts, without leaving bytecode. This makes an image to compare:
`invoke image.build --kind prod --python 3.11 --prod-bytecode none --tag none --load`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from build_tasks.buildx import toolchain
from build_tasks.buildx.toolchain import Client
from build_tasks.config import loading

#: What is started, and the port that a server answers on.
STARTS = {
    "airflow version": 0,
    "airflow db check": 0,
    "airflow scheduler": 8974,
    "airflow api-server": 8080,
}
#: Prints the seconds of CPU time in user and system mode, and the times of beginning and start.
SCRIPT = """
export AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK=true
PYTHONDONTWRITEBYTECODE=1 airflow db migrate > /dev/null 2>&1
TIMEFORMAT='%U %S'
start() {
    began=${EPOCHREALTIME}
    if [ "${PORT}" = 0 ]; then
        "$@" > /dev/null 2>&1 || exit
        started=${EPOCHREALTIME}
        return
    fi
    "$@" > /dev/null 2>&1 &
    until (exec 3<> "/dev/tcp/127.0.0.1/${PORT}") 2> /dev/null; do sleep 0.05; done
    started=${EPOCHREALTIME}
    kill %1
    wait
}
time start "$@"
echo "${began} ${started}" >&2
"""


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser("start", description=__doc__.partition("\n")[0])
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--turns", type=int, default=5)
    asked = parser.parse_args()
    client = toolchain.find(loading.load().engine, start=True, announce=print)
    samples: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for turn in range(asked.turns):
        for command in STARTS:
            for image in asked.images:
                samples[command, image].append(measure(client, image, command))
        print(f"turn {turn + 1} of {asked.turns} is done")
    Console().print(tabulate(asked.images, samples))


def measure(client: Client, image: str, command: str) -> tuple[float, float]:
    """Return the seconds and CPU seconds of a start."""
    options = ("--rm", "--env", f"PORT={STARTS[command]}", "--entrypoint", "bash")
    run = (client.docker, "run", *options, image, "-c", SCRIPT, "start", *command.split())
    done = subprocess.run(
        run, env={**client.environment}, check=True, capture_output=True, text=True, timeout=600
    )
    user, system, began, started = map(float, done.stderr.split()[-4:])
    return started - began, user + system


def tabulate(
    images: Sequence[str], samples: dict[tuple[str, str], list[tuple[float, float]]]
) -> Table:
    """Return the medians of all samples."""
    table = Table("seconds / CPU seconds", *images, box=None)
    for command in STARTS:
        medians = [
            [statistics.median(values) for values in zip(*samples[command, image], strict=True)]
            for image in images
        ]
        table.add_row(command, *(f"{wall:.2f} / {cpu:.2f}" for wall, cpu in medians))
    return table


if __name__ == "__main__":
    main()
