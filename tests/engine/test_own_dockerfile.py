"""What the Dockerfile that the suite makes of an own image promises of the image."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from suite import PATIENCE, Suite

from build_tasks.model.own_image import OwnImage
from build_tasks.plan import own_dockerfile
from build_tasks.plan.own_dockerfile import Below, Packages

#: A small image with the user, the folder and the entrypoint of Airflow's images.
BASE = """\
FROM {base}
ENV AIRFLOW_HOME=/opt/airflow
RUN useradd --uid 50000 --gid 0 --create-home airflow \\
    && install --directory --owner airflow --group 0 --mode 0775 /opt/airflow
COPY --chmod=755 <<"EOF" /usr/bin/dumb-init
#!/bin/sh
[ "$1" = -- ] && shift
exec "$@"
EOF
COPY --chmod=755 <<"EOF" /entrypoint
#!/bin/bash
set -eu
exec "$@"
EOF
USER 50000
ENTRYPOINT ["/usr/bin/dumb-init", "--", "/entrypoint"]
"""
VALUES = {
    "PLAIN": "x y",
    "NOT_EXPANDED": "$HOME ${HOME} `id` $(id)",
    "QUOTES": "\"double\" 'single' \\ back\\n #",
    "EMPTY": "",
    "FROM_START": "image",
}
#: The script of the image below writes to both streams, and changes what the container was given.
FIRST = """\
echo first
set -u +e
export ORDER="${ORDER:-}first "
set -- another command
"""
SECOND = """\
echo "second $# ${UNSET}"
export ORDER="${ORDER:-}second" FROM_START=script
"""
#: How long a container may take to start or to end.
SECONDS = 20
#: Like a user that OpenShift chooses.
RANDOM = ("--user", "1000650000:0", "--read-only")


class Image:
    """An image that stands on an own image with start scripts."""

    def __init__(self, suite: Suite, tag: str) -> None:
        self.suite, self.tag = suite, tag

    def run(self, *words: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = (*self.suite.docker, "run", "--rm", *options, self.tag, *words)
        return subprocess.run(
            command,
            env=dict(self.suite.environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@pytest.fixture(scope="module")
def image(
    suite: Suite, buildx: Suite, base: str, tmp_path_factory: pytest.TempPathFactory
) -> Image:
    folder = tmp_path_factory.mktemp("own")

    def build(tag: str, text: str, below: str = "", **contexts: Path) -> str:
        file = folder / f"{tag}.Dockerfile"
        file.write_text(text)
        words = ["--builder", "default", "--load", "--provenance", "false", "--file", str(file)]
        for name, path in contexts.items():
            words += ["--build-context", f"{name.replace('_', '-')}={path}"]
        tag = f"tests/own-dockerfile-{tag}"
        arguments = ("--build-arg", f"AIRFLOW_IMAGE={below}", "--tag", tag)
        buildx.engine("build", *words, *arguments, str(folder / "empty"))
        return tag

    def context(name: str, file: str, text: str) -> Path:
        path = folder / name / file
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.chmod(0o644)
        path.parent.chmod(0o755)
        return folder / name

    (folder / "empty").mkdir()
    below = build("base", BASE.replace("{base}", base))
    first = OwnImage("first", build_script="build", start_script="start", config="config")
    below = build(
        "first",
        own_dockerfile.text(first, Packages(), Below("50000")),
        below,
        build_script=context("build", "build-script", "id --user > /built\n"),
        start_script=context("start", "start-script", FIRST),
        config=context("config", "airflow.cfg", "[core]\n"),
    )
    second = OwnImage(
        "second",
        start_script="start",
        dags="dags",
        plugins="plugins",
        environment=tuple(VALUES.items()),
    )
    return Image(
        suite,
        build(
            "second",
            own_dockerfile.text(second, Packages(), Below("50000", depth=2)),
            below,
            start_script=context("second-start", "start-script", SECOND),
            dags=context("dags", "team/dag.py", "DAG\n"),
            plugins=context("plugins", "plugin.py", "PLUGIN\n"),
        ),
    )


@pytest.mark.parametrize("options", [(), RANDOM], ids=["user of the image", "another user"])
def test_start_scripts_are_read_in_order_and_leave_the_command(
    image: Image, options: tuple[str, ...]
) -> None:
    script = 'printf "<%s>" "${ORDER}" "${FROM_START}" "$@"; exit 7'
    done = image.run("bash", "-c", script, "name", "a b", "", "*", options=options)
    assert done.returncode == 7
    assert done.stdout == "<first second><script><a b><><*>"
    assert done.stderr == "first\nsecond 7 \n"


def test_a_failing_start_script_ends_the_container(image: Image, tmp_path: Path) -> None:
    script = tmp_path / "02-second"
    script.write_text("false\necho not reached\n")
    mount = ("--volume", f"{script}:/start-scripts/02-second:ro")
    done = image.run("echo", "started", options=mount)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "first\n")


def test_the_command_gets_signals(image: Image) -> None:
    name = f"own-dockerfile-{time.monotonic_ns()}"
    trap = "trap 'echo ended; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    image.suite.engine("run", "--detach", "--name", name, image.tag, "bash", "-c", trap)
    try:
        wait_for(lambda: "ready" in image.suite.engine("logs", name))
        # It kills what does not end at the signal, which is exit code 137.
        image.suite.engine("stop", "--time", str(SECONDS), name)
        assert image.suite.engine("wait", name).strip() == "9"
        assert image.suite.engine("logs", name) == "ready\nended\n"
    finally:
        image.suite.engine("rm", "--force", name)


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("name", [name for name in VALUES if name != "FROM_START"])
def test_variables_have_the_values_of_the_settings(image: Image, name: str) -> None:
    done = image.run("printenv", name)
    assert done.stdout == f"{VALUES[name]}\n"


def test_group_0_can_write_to_the_folders_of_airflow(image: Image) -> None:
    names = "built opt/airflow opt/airflow/{config,plugins,dags,dags/team,dags/team/dag.py}"
    done = image.run("bash", "-c", f"cd / && stat --format '%n %a %u %g' {names}; cat /built")
    assert done.stdout.splitlines() == [
        "built 644 0 0",
        "opt/airflow 775 50000 0",
        "opt/airflow/config 775 50000 0",
        "opt/airflow/plugins 775 50000 0",
        "opt/airflow/dags 775 50000 0",
        "opt/airflow/dags/team 755 50000 0",
        "opt/airflow/dags/team/dag.py 644 50000 0",
        "0",
    ]
    write = "cd ${AIRFLOW_HOME} && touch config/x plugins/x dags/x"
    done = image.run("bash", "-c", write, options=RANDOM[:2])
    assert done.returncode == 0, done.stderr


def test_the_image_keeps_its_user(image: Image) -> None:
    assert image.run("id", "--user").stdout == "50000\n"
