"""Containers of images: after a check, and after a build if the image is out of date."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from checkouts import CORE, SDK, write
from fake_docker import Bench, last
from programs import appears

from build_tasks.inputs.fingerprint import LABEL

IMAGE = "ghcr.io/apache/airflow/main/ci/python3.11:latest"


@pytest.fixture
def place(bench: Bench, tmp_path: Path) -> Bench:
    """A copy of the checkout, whose image the engine has as a build would make it now."""
    (tmp_path / "registry").mkdir()
    bench.environment["FAKE_REGISTRY"] = str(tmp_path / "registry")
    copy = bench.copy(tmp_path / "project")
    has_image(copy)
    return copy


def has_image(place: Bench, *options: str) -> None:
    """Give the engine the image that a build with some options would make now."""
    dry_run = place.invoke("image.build", "--python", "3.11", "--dry-run", *options).stdout
    found = re.search(rf"{re.escape(LABEL)}=([^']*)", dry_run)
    assert found
    place.environment["FAKE_IMAGE"] = json.dumps([facts(found[1])])
    (place.folder / "log").unlink(missing_ok=True)


def facts(label: str) -> dict[str, object]:
    config = {
        "Labels": {LABEL: label},
        "Env": ["HOME=/home/airflow"],
        "Entrypoint": ["/usr/bin/dumb-init", "--", "/entrypoint"],
    }
    return {
        "Id": "sha256:e",
        "Architecture": "amd64",
        "Config": config,
        "RootFS": {"Layers": ["1"]},
    }


def runs(place: Bench) -> list[list[str]]:
    """Return the containers that were started, without the random parts of their names."""
    started = [words[1:] for words in place.told() if words[1] == "run"]
    return [[re.sub(r"-[0-9a-f]{8}(?=$|,)", "", word) for word in words] for words in started]


def test_both_front_ends_run_the_command_in_the_image(place: Bench) -> None:
    options = ("--platform", "amd64", "--port", "8080", "--env", "HOME")
    by_nox = place.nox("test_ci-3.11", *options, "pytest", "-k", "a and b")
    task = ("image.run", "--python", "3.11", *options, "--", "pytest", "-k", "a and b")
    by_invoke = place.invoke(*task)
    for done in (by_nox, by_invoke):
        assert done.returncode == 0, done.stderr
        assert f"ci-3.11-amd64: is up to date: {IMAGE}" in done.stderr
    assert not place.builds()
    first, second = runs(place)
    cache = "/home/airflow/.cache"
    volume = f"type=volume,source=airflow-images-ci-3.11-amd64-{os.getuid()},target=/home/airflow,"
    assert (
        first
        == second
        == [
            *("run", "--pull", "never", "--platform", "linux/amd64"),
            *(
                "--name",
                "airflow-images-ci-3.11-amd64",
                "--user",
                f"{os.getuid()}:0",
                "--interactive",
            ),
            *("--label", "airflow-images.run=ci-3.11-amd64"),
            *("--env", f"MYPY_CACHE_DIR={cache}/mypy"),
            *("--env", f"PYTEST_ADDOPTS=--override-ini=cache_dir={cache}/pytest"),
            *("--env", f"RUFF_CACHE_DIR={cache}/ruff", "--env", "HOME"),
            *(
                "--mount",
                f"{volume}volume-label=airflow-images.home={IMAGE.removesuffix(':latest')}",
            ),
            *("--publish", "127.0.0.1:8080:8080", "--workdir", "/opt/airflow"),
            *(IMAGE, "pytest", "-k", "a", "and", "b"),  # the log does not quote
        ]
    )
    assert [words[1:4] for words in place.told()][-1] == ["rm", "--force", "--volumes"]


def test_the_command_is_run_after_an_option_of_invoke(place: Bench) -> None:
    done = place.invoke("--echo", "image.run", "--python", "3.11", "--", "pytest", "-x")
    assert done.returncode == 0, done.stderr
    (words,) = runs(place)
    assert words[-3:] == [IMAGE, "pytest", "-x"]


def test_mounted_sources_need_no_build(place: Bench) -> None:
    mount = ("--sources", "mount")
    has_image(place, *mount)
    (place.root / "sources/dags/smoke.py").write_text("# edited\n")
    done = place.invoke("image.run", "--python", "3.11", *mount, "--", "x")
    assert done.returncode == 0, done.stderr
    assert "is up to date" in done.stderr
    assert not place.builds()
    (words,) = runs(place)
    assert f"type=bind,source={place.root}/sources,target=/opt/airflow" in words


def test_a_mounted_checkout_needs_a_build_only_for_its_dependencies(
    place: Bench, tmp_path: Path
) -> None:
    root = tmp_path / "checkout"
    write(
        root,
        {
            "airflow-core/pyproject.toml": CORE,
            "airflow-core/src/airflow/__init__.py": '__version__ = "3.3.2"\n',
            "task-sdk/pyproject.toml": SDK,
            "task-sdk/src/airflow/sdk/__init__.py": '__version__ = "1.3.2"\n',
        },
    )
    options = ("--ci-from", str(root), "--sources", "mount")
    place.environment["AIRFLOW_IMAGES_CI_EXTRAS"] = ""
    has_image(place, *options)
    task = ("image.run", "--python", "3.11", *options, "--", "pytest", "task-sdk")
    (root / "task-sdk/src/airflow/sdk/new.py").write_text("edited = True\n")
    edited = place.invoke(*task)
    assert edited.returncode == 0, edited.stderr
    assert "is up to date" in edited.stderr
    assert not place.builds()
    (words,) = runs(place)
    assert f"type=bind,source={root},target=/opt/airflow" in words
    assert words[-2:] == ["pytest", "task-sdk"]
    text = SDK.replace("dynamic", 'dependencies = ["retryhttp"]\ndynamic')
    (root / "task-sdk/pyproject.toml").write_text(text)
    changed = place.invoke(*task)
    assert "since changed: " in changed.stderr, changed.stderr
    assert ": building it" in changed.stderr
    assert len(place.builds()) == 1


def test_an_edited_file_is_named_before_the_build(place: Bench) -> None:
    file = place.root / "sources/dags/smoke.py"
    file.write_text("# edited\n")
    old = place.invoke("image.run", "--python", "3.11", "--no-build")
    assert "the engine has an older one, since changed: files: it runs all the same" in old.stderr
    assert not place.builds()
    new = place.invoke("image.run", "--python", "3.11")
    assert "the engine has an older one, since changed: files: building it" in new.stderr
    (build,) = place.builds()
    assert {"--load", IMAGE} <= {*build}
    assert [words[1] for words in place.told() if words[1] in {"build", "run"}] == [
        *("run", "build", "run"),
    ]


def test_a_failed_build_runs_nothing(place: Bench) -> None:
    failed = place.invoke(
        *("image.run", "--python", "3.11", "--airflow-extras", "ftp"),
        FAKE_EXIT="1",
        FAKE_FAILS="--metadata-file",
    )
    assert failed.returncode not in {0, 2}
    assert not runs(place)


def test_the_exit_code_is_the_commands(place: Bench) -> None:
    failing = {"FAKE_FAILS": "run --pull", "FAKE_EXIT": "5"}
    failed = place.invoke("image.run", "--python", "3.11", "--", "pytest", **failing)
    assert failed.returncode == 5
    assert last(failed.stderr) == "pytest exited with code 5"
    session = place.nox("test_ci-3.11", **failing)
    assert session.returncode == 1
    assert "nox > Session test_ci-3.11 aborted: pytest exited with code 5" in session.stderr
    failing["FAKE_EXIT"] = "125"  # of docker itself: it knows no such container
    failed = place.invoke("image.run", "--python", "3.11", **failing)
    assert failed.returncode == 3
    assert last(failed.stderr) == f"{IMAGE}: the container did not start, see above"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_container(place: Bench, signum: signal.Signals) -> None:
    sleeping = {"FAKE_SLEEP": "60", "FAKE_FAILS": "rm --force"}
    with place.start("invoke", "image.run", "--python", "3.11", **sleeping) as process:
        assert appears(place.folder / "log.asleep")
        process.send_signal(signum)
        process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert [words[1] for words in place.told()[-2:]] == ["rm", "rm"]


def test_a_killed_front_end_removes_its_container(place: Bench) -> None:
    sleeping = {"FAKE_SLEEP": "60", "FAKE_FAILS": "rm --force"}
    with place.start("nox", "-s", "shell_ci-3.11", **sleeping) as process:
        assert appears(place.folder / "log.asleep")
        process.kill()
    until = time.monotonic() + 10
    while not any(words[1:2] == ["rm"] for words in place.told()):  # the last may be half written
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_secret_is_named_and_its_value_is_in_no_command(place: Bench) -> None:
    word = "hunter2" * 3
    done = place.invoke(
        *("image.run", "--python", "3.11", "--env", "SOME_TOKEN", "--env", f"A_TOKEN={word}"),
        *("--verbose", "--", "true"),
        SOME_TOKEN=word,
    )
    assert done.returncode == 0
    assert word not in done.stderr
    assert "--env SOME_TOKEN --env A_TOKEN=***" in done.stderr
    assert f"--user {os.getuid()}:0 " in done.stderr  # which looks like a user and a password


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--port", "http"), "--port: expected a port like 8080, 8080:80 or 0.0.0.0:8080:80"),
        (("--env", "NOT_SET"), "--env: NOT_SET is not set: set it, or write NOT_SET=VALUE"),
        (("--mount", "/no/such:/x"), "--mount: no such file or folder: /no/such"),
        (("--platform", "amd64,arm64"), "--platform: one at a time: amd64,arm64"),
        (("pytest",), "image.run: the command follows `--`: -- pytest"),
    ],
)
def test_a_mistake_is_one_line(place: Bench, words: tuple[str, ...], message: str) -> None:
    done = place.invoke("image.run", "--python", "3.11", *words)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [done.stderr.strip()]
    assert done.stderr.startswith(message)
    assert not place.told()
