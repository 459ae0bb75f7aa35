from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from fake_docker import Bench, last, lines, listing

ROOT = Path(__file__).resolve().parents[2]
COMMIT = subprocess.run(
    ["/usr/bin/git", "-C", str(ROOT), "rev-parse", "HEAD"],
    capture_output=True,
    text=True,
    check=True,
).stdout.strip()


def test_both_front_ends_run_the_same_command(bench: Bench) -> None:
    by_nox = bench.nox("build_ci-3.11-amd64", "--push", "--push-cache", "--tag", "a,b", "--verbose")
    by_invoke = bench.invoke(
        *("image.build", "--python", "3.11", "--platform", "linux/amd64"),
        *("--push", "--push-cache", "--tag", "a,b", "--verbose"),
    )
    assert (by_nox.returncode, by_invoke.returncode) == (0, 0), by_nox.stderr + by_invoke.stderr
    first, second = bench.builds()
    assert first == second
    image = "ghcr.io/apache/airflow/main/ci/python3.11"
    assert [word for word in first if word.startswith(image)] == [f"{image}:a", f"{image}:b"]
    assert first[first.index("--output") + 1].startswith("type=image,push=true,")
    assert f"type=registry,ref={image}:cache-linux-amd64" in first
    assert f"COMMIT_SHA={COMMIT}" in first
    echoes = [
        next(line for line in run.stderr.splitlines() if line.startswith("+ "))
        for run in (by_nox, by_invoke)
    ]
    assert echoes[0] == echoes[1]


@pytest.mark.parametrize("chosen", ["current", "variable"])
def test_a_docker_context_names_the_builder_of_its_engine(bench: Bench, chosen: str) -> None:
    there = {"DOCKER_HOST": "", "DOCKER_CONTEXT": "a+b" if chosen == "variable" else ""}
    config = bench.folder / "docker-config" / "config.json"
    config.write_text(json.dumps({"currentContext": "a+b" if chosen == "current" else "other"}))
    here = ("--python", "3.11", "--platform", "linux/amd64")
    for done in bench.both("build_ci-3.11-amd64", ("image.build", *here), "--verbose", **there):
        assert done.returncode == 0, done.stderr
        assert " DOCKER_CONTEXT=a+b " in done.stderr  # a line to paste holds with another context
    tasks = [("image.check", *here), ("cache.usage",), ("cache.prune",), ("builder.inspect",)]
    for task in tasks:
        bench.invoke(*task, **there)
    asked = [words[1:] for words in bench.told() if words[1] not in {"version", "info", "image"}]
    assert {words[0] for words in asked} == {"build", "imagetools", "du", "prune", "ls"}
    for words in (words for words in asked if words[0] != "ls"):
        assert "default" not in words
        assert "a+b" in words


def test_a_dry_run_prints_one_line_and_starts_nothing(bench: Bench) -> None:
    done = bench.invoke("image.build", "--python", "3.11", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert bench.builds() == []
    (line,) = done.stdout.splitlines()
    subprocess.run(["/bin/sh", "-c", line], check=True, env=bench.environment, cwd="/")
    bench.invoke("image.build", "--python", "3.11")
    pasted, real = bench.builds()
    assert pasted[pasted.index("--progress") + 1] == "auto"  # a person's terminal shows it
    pasted[pasted.index("--progress") + 1] = "rawjson"
    assert pasted == real


def test_source_date_epoch_reaches_the_image_and_no_step(bench: Bench) -> None:
    build = ("image.build", "--python", "3.11", "--verbose")
    done = bench.invoke(*build, SOURCE_DATE_EPOCH="1700000000")
    assert done.returncode == 0, done.stderr
    (words,) = bench.builds()
    assert words[words.index("--output") + 1] == "type=docker,source-date-epoch=1700000000"
    (echo,) = (line for line in done.stderr.splitlines() if line.startswith("+ "))
    assert " SOURCE_DATE_EPOCH= " in echo  # buildx would make an argument of it


@pytest.mark.parametrize("value", ["abc", "-1", "1e9", "1.5", "253402300800", "9" * 5000])
def test_a_wrong_source_date_epoch_is_one_line(bench: Bench, value: str) -> None:
    done = bench.invoke("image.build", "--python", "3.11", SOURCE_DATE_EPOCH=value)
    assert done.returncode == 2
    assert last(done.stderr).startswith("SOURCE_DATE_EPOCH: expected seconds since 1970")
    assert value[:40] in last(done.stderr)
    assert bench.builds() == []


def test_each_python_has_its_own_release(bench: Bench) -> None:
    assert bench.invoke("image.build", "--python", "3.9,3.13").returncode == 0
    names = ("AIRFLOW_PYTHON_VERSION=", "AIRFLOW_VERSION=")
    releases = {tuple(word for word in words if word.startswith(names)) for words in bench.builds()}
    assert releases == {  # they run at once, in any order
        ("AIRFLOW_PYTHON_VERSION=3.9", "AIRFLOW_VERSION=3.0.6"),
        ("AIRFLOW_PYTHON_VERSION=3.13", "AIRFLOW_VERSION=3.3.2"),
    }


def test_the_digest_is_told(bench: Bench) -> None:
    done = bench.invoke(
        *("image.push", "--python", "3.11"),
        FAKE_METADATA='{"containerimage.digest": "sha256:abc"}',
    )
    assert last(done.stderr) == (
        "ci-3.11-amd64: pushed ghcr.io/apache/airflow/main/ci/python3.11:latest sha256:abc"
    )


def test_a_cache_that_was_not_written_is_said(bench: Bench) -> None:
    built = bench.invoke("image.build", "--python", "3.11", "--push-cache")
    assert built.returncode == 0
    assert "ci-3.11-amd64: warning: the cache was not written" in built.stderr
    pushed = bench.invoke("cache.push", "--python", "3.11")
    assert pushed.returncode == 4
    assert "ci-3.11-amd64: the cache was not written" in last(pushed.stderr)
    good = bench.invoke("cache.push", "--python", "3.11", FAKE_METADATA='{"cache.manifest": "{}"}')
    assert good.returncode == 0
    assert "type=cacheonly" in bench.builds()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--python", "3.8"], "--python: unknown Python '3.8': choose 3.9, 3.10, "),
        ([], "--python: name one or more of 3.9, 3.10, "),
        (["--kind", "dev"], "--kind: unknown image 'dev': choose ci"),
        (["--platform", "vax"], "--platform: unknown platform 'vax': choose linux/amd64, "),
        (
            ["--cache-mode", "s3"],
            "--cache-mode: unknown cache mode 's3': choose registry, local, disabled",
        ),
        (
            ["--engine", "podman"],
            "--engine: unknown engine 'podman': choose auto, docker, embedded",
        ),
        (["--progress", "x"], "--progress: unknown display 'x': choose auto, plain, "),
        (["--push", "--load"], "--push --load: a build has one output: choose one of them"),
        (
            ["--push-by-digest", "--load"],
            "--push-by-digest --load: a build has one output: choose one of them",
        ),
        (
            ["--push-by-digest", "--tag", "x"],
            "--tag: the merge gives tags to what is pushed by digest: give it there",
        ),
        (["--tag", "a/b"], "--tag: expected a tag (at most 128 letters, digits, "),
        (["--ca-bundle", "/nowhere.pem"], "--ca-bundle: no such file: /nowhere.pem"),
        (["--registry", "http://x"], "--registry: expected a host"),
    ],
)
def test_a_wrong_option_is_one_line_in_both(
    bench: Bench, arguments: list[str], message: str
) -> None:
    known = ["--python", "3.11"] if arguments and arguments[0] != "--python" else []
    by_invoke = bench.invoke("image.build", *known, *arguments)
    assert by_invoke.returncode == 2
    (line,) = lines(by_invoke.stderr)
    assert line.startswith(message)
    if arguments and arguments[0] not in {"--python", "--kind"}:
        by_nox = bench.nox("build_ci-3.11", *arguments)
        assert by_nox.returncode == 1
        (line,) = lines(by_nox.stderr)
        assert line.startswith(f"nox > Session build_ci-3.11 aborted: {message}")
    assert bench.builds() == []


def test_an_unknown_option_is_one_line_in_both(bench: Bench) -> None:
    by_nox = bench.nox("build_ci-3.11", "--pusch")
    assert by_nox.returncode == 1
    (line,) = lines(by_nox.stderr)
    assert "build_ci-3.11: unknown option '--pusch': did you mean --push?" in line
    by_invoke = bench.invoke("image.build", "--pusch")
    assert by_invoke.returncode == 2
    assert lines(by_invoke.stderr) == [
        "image.build: unknown option '--pusch': did you mean --push?"
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("imag.build",), "unknown task 'imag.build': did you mean image.build?"),
        (("nothing",), "unknown task 'nothing': invoke -l lists the valid ones"),
        (("engine",),
         "'engine' is a group of tasks: choose engine.start, engine.status, engine.stop"),
        (("image.build", "x"), "image.build: takes no argument 'x', and no task has that name"),
        (("engine.stop", "--all"), "engine.stop: unknown option '--all': choose --purge"),
        (("image.build", "--wholly-else"),
         "image.build: unknown option '--wholly-else': "
         "`invoke image.build -h` lists the valid ones"),
        (("image.build", "--python"), "--python: needs a value"),
        (("image.build", "--push", "image.chek"),
         "image.build: takes no argument 'image.chek', and no task has that name"),
        (("image.build", "--python", "3.11", "--dry-run", "--jobs", "zero"),
         "--jobs: expected an integer >= 1, got 'zero'"),
    ],
)  # fmt: skip
def test_a_mistyped_command_of_invoke_is_one_line(
    bench: Bench, words: tuple[str, ...], said: str
) -> None:
    done = bench.invoke(*words)
    assert (done.returncode, lines(done.stderr)) == (2, [said])
    assert bench.told() == []


def test_options_of_invokes_own_still_work(bench: Bench) -> None:
    assert "image.build" in bench.invoke("--list").stdout
    assert "--python" in bench.invoke("image.build", "-h").stdout
    two = bench.invoke("settings", "--json", "matrix", "--json", "--platform=linux/amd64")
    assert two.returncode == 0, two.stderr


@pytest.mark.parametrize("words", [("nowhere.tar.zst",), ("--file", "nowhere.tar.zst")])
def test_what_stands_alone_may_have_its_name(bench: Bench, words: tuple[str, ...]) -> None:
    done = bench.invoke("image.load", *words)
    assert lines(done.stderr) == ["nowhere.tar.zst: cannot be read: No such file or directory"]


def test_an_unknown_session_is_one_line(bench: Bench) -> None:
    done = bench.run("nox", "-s", "build_ci-3.8")
    assert done.returncode != 0
    assert lines(done.stderr) == [
        "nox > unknown session 'build_ci-3.8': did you mean build_ci-3.9?"
    ]


def test_help_is_everywhere(bench: Bench) -> None:
    assert "--push-cache" in bench.nox("build_ci-3.11", "-h").stdout
    assert "--push-cache" in bench.invoke("image.build", "--help").stdout
    assert "builder.create" in bench.invoke("--list").stdout
    both = bench.invoke("matrix", "settings", "--json").stdout
    assert both.index("ci-3.14") < both.index('"airflow.version"')
    assert bench.invoke("matrix", "nonsense").returncode == 2


def test_bare_invoke_lists_the_tasks(bench: Bench) -> None:
    done = bench.invoke()
    assert done.returncode == 0, done.stderr
    assert done.stdout == bench.invoke("--list").stdout
    assert "image.build" in done.stdout


def test_nox_lists_no_sessions_of_single_platforms(bench: Bench) -> None:
    listed = bench.run("nox", "-l").stdout
    assert "] -> Build the CI image with Python 3.14.\n" in listed
    assert "arm64" not in listed
    assert len(listed.splitlines()) < 70
    assert bench.nox("build_ci-3.14-arm64", "--dry-run").returncode == 0


def test_options_may_be_repeated_and_former_names_work(bench: Bench) -> None:
    by_task = bench.invoke(
        *("image.build", "--python", "3.11", "--python", "3.12", "--dry-run"),
        *("--python-deps", "pandas", "--cache=local"),
    )
    assert by_task.returncode == 0, by_task.stderr
    assert len(by_task.stdout.splitlines()) == 2
    assert by_task.stdout.count("ADDITIONAL_PYTHON_DEPS=pandas") == 2
    assert lines(by_task.stderr)[:2] == [
        "--python-deps is now called --dependencies-python",
        "--cache is now called --cache-mode",
    ]
    options = ("--python", "3.11", "--python", "3.12", "--dry-run", "--python-deps", "pandas")
    by_session = bench.nox("build_all", "--kind", "ci", *options, "--cache=local")
    assert by_session.stdout == by_task.stdout
    twice = bench.invoke("image.build", "--branch", "a", "--branch", "b")
    assert lines(twice.stderr) == ["--branch: given twice"]


@pytest.mark.parametrize("words", [("-h", "image.build"), ("image.build", "--help")])
def test_help_of_a_task_has_groups_and_examples(bench: Bench, words: tuple[str, ...]) -> None:
    done = bench.invoke(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: invoke image.build [OPTIONS]\n")
    assert "\ncache:\n" in done.stdout
    assert "\n  invoke image.build --python 3.11\n" in done.stdout


def test_the_version_is_shown_by_any_task_and_session(bench: Bench) -> None:
    version = bench.invoke("settings", "--version").stdout
    assert version.count(".") == 2
    assert bench.nox("build_ci-3.11", "--version").stdout == version


@pytest.mark.parametrize("front_end", ["nox", "invoke"])
def test_a_wrong_settings_file_is_one_line_in_both(bench: Bench, front_end: str) -> None:
    file = bench.folder / "images.toml"
    file.write_text('[cache]\nmode = "s3"\n')
    wrong = {"AIRFLOW_IMAGES_FILE": str(file)}
    if front_end == "nox":
        done = bench.nox("build_ci-3.11", **wrong)
    else:
        done = bench.invoke("image.build", "--python", "3.11", **wrong)
    assert done.returncode in {1, 2}
    (line,) = lines(done.stderr)
    assert "images.toml: cache.mode: unknown cache mode 's3': choose registry, " in line


def test_a_missing_docker_is_one_line(bench: Bench) -> None:
    (bench.folder / "bin" / "docker").unlink()
    done = bench.invoke("image.build", "--python", "3.11")
    assert done.returncode == 127
    (line,) = lines(done.stderr)
    assert line.startswith("docker is not installed: install Docker Engine ")


def test_a_missing_buildx_is_one_line(bench: Bench) -> None:
    (bench.folder / "docker-config" / "cli-plugins" / "docker-buildx").unlink()
    done = bench.invoke("image.build", "--python", "3.11")
    assert done.returncode == 127
    (line,) = lines(done.stderr)
    assert line.startswith("docker has no buildx plugin: install Docker Engine ")


def test_a_buildx_that_is_too_old_is_one_line(bench: Bench) -> None:
    done = bench.invoke("image.build", "--python", "3.11", FAKE_BUILDX_VERSION="v0.12.1+ds1")
    assert done.returncode == 3
    (line,) = lines(done.stderr)
    assert line.startswith("buildx 0.12.1 is too old: 0.13 or newer is needed: install ")


def test_buildx_is_asked_for_its_version_once_in_its_life(bench: Bench) -> None:
    for options in ((), ("--push",)):  # whoever pushes wants to know it, too
        build = ("image.build", "--python", "3.11", "--cache-imports", "none")
        assert bench.invoke(*build, *options).returncode == 0
    assert [words[1] for words in bench.told() if words[1] != "info"] == [
        "version",
        "build",
        "build",
    ]


def test_a_buildx_that_was_replaced_is_asked_again(bench: Bench) -> None:
    plugin = bench.folder / "docker-config" / "cli-plugins" / "docker-buildx"
    assert bench.invoke("image.build", "--python", "3.11").returncode == 0
    plugin.write_text(plugin.read_text() + "\n# a later one\n")
    done = bench.invoke("image.build", "--python", "3.11", FAKE_BUILDX_VERSION="v0.12.1")
    assert done.returncode == 3
    assert last(done.stderr).startswith("buildx 0.12.1 is too old")


def test_what_buildx_need_not_do_is_left_to_the_user(bench: Bench) -> None:
    build = ("image.build", "--python", "3.11", "--dry-run")
    said = bench.invoke(*build).stdout
    assert " BUILDX_METADATA_PROVENANCE=disabled " in said
    assert (
        " BUILDX_METADATA_PROVENANCE="
        not in bench.invoke(*build, BUILDX_METADATA_PROVENANCE="max").stdout
    )


def test_a_program_that_is_no_buildx_is_one_line(bench: Bench) -> None:
    plugin = bench.folder / "docker-config" / "cli-plugins" / "docker-buildx"
    plugin.write_text("#!/bin/sh\necho hello\n")
    done = bench.invoke("image.build", "--python", "3.11")
    assert done.returncode == 3
    (line,) = lines(done.stderr)
    assert "does not say its version as buildx does" in line


def test_an_engine_that_cannot_export_says_what_to_do(bench: Bench) -> None:
    classic = '{"ServerVersion": "28", "DriverStatus": [["Backing Filesystem", "extfs"]]}'
    for option in ("--push", "--push-cache"):
        done = bench.invoke("image.build", "--python", "3.11", option, FAKE_INFO=classic)
        assert done.returncode == 3
        (line,) = lines(done.stderr)
        assert line.startswith("the engine keeps images in its classic store, from which ")
        assert "invoke builder.create" in line
    dedicated = ("--push", "--builder", "mine")
    for options in ((), dedicated):
        build = ("image.build", "--python", "3.11", "--cache-imports", "none")
        assert bench.invoke(*build, *options).returncode == 0


def test_a_platform_that_the_builder_has_not_says_what_to_do(bench: Bench) -> None:
    build = ("image.build", "--python", "3.11", "--platform", "linux/arm64")
    done = bench.invoke(*build, FAKE_LS=listing("default", "linux/amd64", "linux/386"))
    assert done.returncode == 3
    (line,) = lines(done.stderr)
    assert line.startswith("builder default cannot build for linux/arm64: install qemu-user-static")
    assert bench.builds() == []
    good = bench.invoke(*build, FAKE_LS=listing("default", "linux/arm64", "linux/amd64"))
    assert good.returncode == 0
    assert "emulated" not in good.stderr


def test_emulation_is_announced_with_its_cost_before_the_build(bench: Bench) -> None:
    build = ("image.build", "--python", "3.11", "--platform", "linux/arm64")
    done = bench.invoke(
        *build, FAKE_LS=listing("default", "linux/amd64", "linux/386", "linux/arm64")
    )
    assert done.returncode == 0
    assert lines(done.stderr)[0] == (
        "linux/arm64 is emulated by node default of builder default: steps that compute take "
        "about ten times as long as on a native machine"
    )


def test_a_failed_build_ends_with_its_class_and_code(bench: Bench) -> None:
    error = (
        'ERROR: failed to build: failed to solve: process "/bin/sh -c x" did not complete '
        "successfully: exit code: 7"
    )
    done = bench.invoke("image.build", "--python", "3.11", FAKE_EXIT="1", FAKE_STDERR=error)
    assert done.returncode == 10
    assert last(done.stderr) == "ci-3.11-amd64: step '/bin/sh -c x' failed with exit code 7"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("front_end", ["nox", "invoke"])
def test_a_signal_ends_the_build(bench: Bench, front_end: str, signum: signal.Signals) -> None:
    command = {
        "nox": ("nox", "-s", "build_ci-3.11"),
        "invoke": ("invoke", "image.build", "--python", "3.11"),
    }[front_end]
    with bench.start(*command, FAKE_SLEEP="60") as process:
        deadline = time.monotonic() + 30
        while not bench.builds() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signum)
        began = time.monotonic()
        _, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode == 130 if front_end == "nox" else process.returncode == 128 + signum
    assert bench.told()[-1] == ["ended"]
    assert "Traceback" not in err


def test_settings_say_where_each_value_came_from(bench: Bench) -> None:
    done = bench.invoke(
        "settings", "--json", "--branch", "v3", AIRFLOW_IMAGES_REPOSITORY="me/airflow"
    )
    shown = json.loads(done.stdout)
    assert shown["branch"] == {"value": "v3", "from": "--branch"}
    assert shown["repository"] == {"value": "me/airflow", "from": "AIRFLOW_IMAGES_REPOSITORY"}
    assert shown["airflow.versions"]["value"] == {"3.9": "3.0.6"}
    table = bench.invoke("settings").stdout
    assert "images.toml: airflow.version" in table


def test_the_matrix_is_data_for_ci(bench: Bench) -> None:
    include = json.loads(bench.invoke("matrix", "--json").stdout)["include"]
    assert len(include) == 24
    assert {row["kind"] for row in include} == {"ci", "prod"}
    assert include[0] == {
        "identity": "ci-3.9-amd64",
        "session": "build_ci-3.9-amd64",
        "kind": "ci",
        "from": "",
        "python": "3.9",
        "platform": "linux/amd64",
        "airflow": "3.0.6",
        "image": "ghcr.io/apache/airflow/main/ci/python3.9",
        "cache": "ghcr.io/apache/airflow/main/ci/python3.9:cache-linux-amd64",
        "merge": "merge_ci-3.9",
    }
    sessions = bench.run("nox", "-l").stdout
    assert all(row["merge"] in sessions for row in include)
    assert "ci-3.14-arm64" in bench.invoke("matrix").stdout


def test_a_builder_of_the_users_own_is_used_where_it_lives(bench: Bench) -> None:
    theirs = bench.folder / "docker-config" / "buildx"
    (theirs / "instances").mkdir(parents=True)
    node = {"Name": "team0", "Endpoint": bench.environment["DOCKER_HOST"]}
    written = {"Name": "team", "Driver": "docker-container", "Nodes": [node]}
    (theirs / "instances" / "team").write_text(json.dumps(written))
    done = bench.invoke("image.build", "--python", "3.11", "--builder", "team", "--dry-run")
    assert f"BUILDX_CONFIG={theirs} " in done.stdout
    done = bench.invoke("image.build", "--python", "3.11", "--builder", "other", "--dry-run")
    folder = bench.folder / "cache" / "builders" / "other" / "buildx"
    assert f"BUILDX_CONFIG={folder} " in done.stdout
