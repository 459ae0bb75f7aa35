"""Verifying an image through both front ends, as far as a fake docker answers."""

from __future__ import annotations

import json
import signal
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from fake_docker import Bench, last, lines

SESSION = "verify_prod-3.11"
TASK = ("image.verify", "prod-3.11")
IMAGE = "ghcr.io/apache/airflow/main/prod/python3.11:latest"
HERE = ("--platform", "linux/amd64")
#: Checks that need only the description of the image.
EASY = "manifest or labels or 8080 or user_is_airflow"


def facts(architecture: str = "amd64", **labels: str) -> str:
    """Return the output of `docker image inspect`."""
    values = {"image": "airflow", "python.version": "3.11", "version": "3.3.2", "uid": "50000"}
    values |= {name.replace("_", "."): text for name, text in labels.items()}
    config = {
        "Labels": {f"org.apache.airflow.{name}": text for name, text in values.items() if text},
        "User": "50000",
        "ExposedPorts": {"8080/tcp": {}},
    }
    return json.dumps([{"Os": "linux", "Architecture": architecture, "Config": config}])


def index(**platforms: str) -> str:
    manifests = [
        {"digest": digest, "platform": {"os": "linux", "architecture": architecture}}
        for architecture, digest in platforms.items()
    ]
    attestation = {"architecture": "unknown", "os": "unknown"}
    manifests.append({"digest": "sha256:attestation", "platform": attestation})
    manifests.append({"digest": "sha256:artifact"})
    return json.dumps({"manifests": manifests})


def test_results_are_json_alone_in_both(bench: Bench) -> None:
    runs = bench.both(
        *(SESSION, TASK, *HERE, "--json", "--select", EASY),
        FAKE_IMAGE=facts(),
        PYTEST_ADDOPTS="--nonsense",
    )
    for run in runs:
        assert run.returncode == 0, run.stderr
        answer = json.loads(run.stdout)
        assert answer["image"] == IMAGE
        assert {check["outcome"] for check in answer["checks"]} == {"passed"}
        assert f"{IMAGE}: passed 4 checks" in run.stderr
        assert f"{IMAGE}: running 4 checks in 4 groups\n" in run.stderr
        assert "[1/4] contents: 1 check\n" in run.stderr
    checks = [[one["check"] for one in json.loads(run.stdout)["checks"]] for run in runs]
    assert checks[0] == checks[1]
    assert "test_the_manifest_is_for_the_platform" in checks[0]


def test_a_failed_check_is_named_with_its_reason(bench: Bench, tmp_path: Path) -> None:
    junit = tmp_path / "new folder" / "results.xml"
    runs = bench.both(
        *(SESSION, TASK, *HERE, "--select", EASY, "--junit", str(junit)),
        FAKE_IMAGE=facts("arm64"),
    )
    reason = (
        f"{IMAGE}: 1 of 4 checks failed, first test_the_manifest_is_for_the_platform: "
        "the image says linux/arm64, not linux/amd64"
    )
    assert runs[1].returncode == 11
    assert last(runs[1].stderr) == reason
    assert runs[0].returncode == 1
    assert any(f"aborted: {reason}" in line for line in lines(runs[0].stderr))
    assert "FAILED" in runs[0].stdout
    suite = ET.parse(junit).getroot().find("testsuite")  # noqa: S314 - pytest wrote it
    assert suite is not None
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("verify", "4", "1")


def test_each_image_has_its_own_checks(bench: Bench) -> None:
    done = bench.nox(
        *("verify_ci-3.11", *HERE, "--json", "--select", "8080 or user_is_airflow"),
        FAKE_IMAGE=facts(image="airflow-ci"),
    )
    assert done.returncode == 0, done.stderr
    checks = [one["check"] for one in json.loads(done.stdout)["checks"]]
    assert checks == ["test_the_user_is_airflow_in_group_0"]


@pytest.mark.parametrize(
    "words", [("prod-slim-3.11",), ("prod-3.11-amd64", "--prod-profile", "slim")]
)
def test_a_slim_build_can_be_selected(bench: Bench, words: tuple[str, ...]) -> None:
    options = (*HERE, "--tag", "v1", "--select", "8080")
    done = bench.invoke(
        "image.verify", *words, *options[2 * ("amd64" in words[0]) :], FAKE_IMAGE=facts()
    )
    assert done.returncode == 0, done.stderr
    assert last(done.stderr) == f"{IMAGE[:-6]}v1: passed 1 check"
    tagless = bench.invoke("image.verify", *words, "--select", "8080", FAKE_IMAGE=facts())
    assert f"{IMAGE[:-6]}slim-latest: passed" in tagless.stderr


def test_an_image_may_be_named_in_both(bench: Bench) -> None:
    name = "localhost:5000/mine@sha256:1"
    options = ("--json", "--select", EASY, *HERE)
    for run in (
        bench.nox(SESSION, name, *options, FAKE_IMAGE=facts()),
        bench.invoke("image.verify", name, *options, FAKE_IMAGE=facts()),
    ):
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout)["image"] == name


@pytest.mark.parametrize(
    ("name", "pulled"),
    [
        ("host:5000/me/mine:v1", "host:5000/me/mine@sha256:one"),
        ("host:5000/mine", "host:5000/mine@sha256:one"),
        ("mine:v1@sha256:all", "mine@sha256:one"),
    ],
)
def test_an_image_of_a_registry_is_pulled_by_its_platforms_digest(
    bench: Bench, name: str, pulled: str
) -> None:
    done = bench.invoke(
        *("image.verify", name, "--json", "--select", "8080", *HERE),
        FAKE_IMAGE=facts(),
        FAKE_MANIFEST=index(arm64="sha256:two", amd64="sha256:one"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["image"] == pulled
    pull = ["pull", "--quiet", "--platform", "linux/amd64", pulled]
    assert pull in [words[1:] for words in bench.told()]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 4, "mine:v1: not found"),
        (["--platform", "amd64,arm64"], 2, "--platform: one at a time: linux/amd64, linux/arm64"),
        (["--platform", "vax"], 2, "--platform: unknown platform 'vax': choose linux/amd64, "),
        (["--kind", "dev"], 2, "--kind: unknown image 'dev': choose ci, prod"),
        (["--python", "three"], 2, "--python: expected a Python version like 3.11, got 'three'"),
        (["--junit", "/"], 2, "--junit: /: is a folder"),
        (["--junit", "/dev/null/x.xml"], 2, "--junit: /dev/null/x.xml: File exists"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(bench: Bench, options: list[str], code: int, message: str) -> None:
    done = bench.invoke("image.verify", "mine:v1", *options)
    assert done.returncode == code, done.stderr
    (line,) = lines(done.stderr)
    assert line.startswith(message)
    assert not done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["prod-3.8"], "--python: unknown Python '3.8': choose 3.9, "),
        (["ci-3.11", "--prod-profile", "slim"], "--prod-profile: is for the PROD image only"),
        (["ci-slim-3.11"], "--prod-profile: is for the PROD image only"),
        (["prod-3.11-vax"], "--platform: unknown platform 'vax': choose linux/amd64, "),
        (["prod-3.11", "--tag", "a/b"], "--tag: expected a tag (at most 128 letters, digits, "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_impossible_build_is_one_line(bench: Bench, options: list[str], message: str) -> None:
    done = bench.invoke("image.verify", *options)
    assert done.returncode == 2, done.stderr
    (line,) = lines(done.stderr)
    assert line.startswith(message)


@pytest.mark.parametrize("front_end", ["nox", "invoke"])
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"FAKE_IMAGE": facts(image="")},
            "mine: no label says which image it is: add --kind with ",
        ),
        (
            {"FAKE_IMAGE": facts(python_version="")},
            "mine: no label says which Python it has: add --python",
        ),
        (
            {"FAKE_MANIFEST": index(arm64="sha256:2", s390x="sha256:3")},
            "mine: has no image for linux/amd64: choose --platform of linux/arm64, linux/s390x",
        ),
    ],
)
def test_an_image_that_cannot_be_verified_is_one_line(
    bench: Bench, front_end: str, environment: dict[str, str], message: str
) -> None:
    if front_end == "nox":
        if "label" in message:
            pytest.skip("the session's name says it")
        done = bench.nox(SESSION, "mine", *HERE, **environment)
    else:
        done = bench.invoke("image.verify", "mine", *HERE, **environment)
    assert done.returncode == (1 if front_end == "nox" else 2), done.stderr
    (line,) = lines(done.stderr)
    assert line.removeprefix(f"nox > Session {SESSION} aborted: ").startswith(message)


def test_a_pull_that_fails_is_one_line(bench: Bench) -> None:
    done = bench.invoke(
        *("image.verify", "mine", *HERE),
        FAKE_MANIFEST="{}",
        FAKE_EXIT="1",
        FAKE_STDERR="a\nunauthorized: no",
    )
    assert done.returncode == 5
    advice = "check `docker login` and your rights there"
    assert lines(done.stderr) == [f"mine: unauthorized: no ({advice})"]


@pytest.mark.parametrize("select", ["no such check", "bad(", "nothing_has_this_name"])
@pytest.mark.parametrize("quiet", [(), ("--json",)])
def test_an_empty_selection_is_one_line(bench: Bench, select: str, quiet: tuple[str, ...]) -> None:
    done = bench.invoke(*TASK, *HERE, *quiet, "--select", select, FAKE_IMAGE=facts())
    assert done.returncode == 2, done.stderr
    assert last(done.stderr) == f"--select: {select!r} selects no check"
    assert "Traceback" not in done.stderr


def test_an_option_of_the_session_is_not_asked_again(bench: Bench) -> None:
    done = bench.nox(SESSION, "--python", "3.12")
    assert done.returncode == 1
    (line,) = lines(done.stderr)
    assert f"{SESSION}: unknown option '--python': " in line
    done = bench.nox(SESSION, "one", "two")
    (line,) = lines(done.stderr)
    assert f"{SESSION}: unknown argument 'two': " in line
    assert "IMAGE" in bench.nox(SESSION, "-h").stdout.upper()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("front_end", ["nox", "invoke"])
def test_a_signal_ends_it_with_the_signals_status(
    bench: Bench, front_end: str, signum: signal.Signals
) -> None:
    select = ("--select", "python_is_the_one")
    command = {
        "nox": ("nox", "-s", SESSION, "--", *HERE, *select),
        "invoke": ("invoke", *TASK, *HERE, *select),
    }[front_end]
    with bench.start(*command, FAKE_IMAGE=facts(), FAKE_SLEEP="60") as process:
        log = bench.folder / "log"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if log.exists() and " run --rm " in log.read_text():
                break
            time.sleep(0.05)
        process.send_signal(signum)
        _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if front_end == "nox" else 128 + signum), err
    assert "ended" in log.read_text()
    assert "Traceback" not in err


def test_any_image_is_checked_for_what_is_documented(bench: Bench) -> None:
    """It has no labels, and its Python says which versions it has."""
    bare = json.loads(facts())
    del bare[0]["Config"]["Labels"]
    options = (*HERE, "--contract", "--json", "--select", EASY)
    image = {"FAKE_IMAGE": json.dumps(bare), "FAKE_STDOUT": '["3.12", "3.3.2"]'}
    for done in (
        bench.nox(SESSION, "theirs:1", *options, **image),
        bench.invoke("image.verify", "theirs:1", *options, **image),
    ):
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["image"] == "theirs:1"
        names = {check["check"] for check in answer["checks"]}
        assert names == {"test_its_port_is_8080", "test_the_user_is_airflow_in_group_0"}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["ci-3.11"], 2, "--contract: is for the PROD image only"),
        (["mine", "--kind", "ci"], 2, "--contract: is for the PROD image only"),
        (["mine", "--kind", "pord"], 2, "--kind: unknown image 'pord': did you mean prod?"),
        (["mine", "--python", "3"], 2, "--python: expected a Python version like 3.11, got '3'"),
        (["mine"], 11, "mine: has no Airflow: No module named apache-airflow"),
    ],
)
def test_what_keeps_no_contract_is_one_line(
    bench: Bench, options: list[str], code: int, message: str
) -> None:
    environment = {"FAKE_IMAGE": facts(), "FAKE_STDERR": "No module named apache-airflow"}
    done = bench.invoke("image.verify", *options, *HERE, "--contract", **environment)
    assert done.returncode == code, done.stderr
    assert lines(done.stderr) == [message]
