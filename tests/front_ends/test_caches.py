"""What builds read and write of caches, as people and CI systems ask for it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from fake_docker import Bench, last, lines

IMAGE = "ghcr.io/apache/airflow/{}/ci/python3.11:cache-linux-amd64"
BUILD = ("image.build", "--python", "3.11", "--platform", "linux/amd64")


def caches(words: list[str], option: str) -> list[str]:
    """Return the values of an option, each without what is always the same."""
    values = [words[at + 1] for at, word in enumerate(words) if word == option]
    return [value.removeprefix("type=registry,ref=").partition(",mode=")[0] for value in values]


@pytest.fixture
def pull(tmp_path: Path) -> dict[str, str]:
    """What GitHub says to a run that builds a fork's pull request."""
    event = tmp_path / "event.json"
    head = {"repo": {"full_name": "me/airflow"}}
    payload = {"repository": {"full_name": "apache/airflow"}, "pull_request": {"head": head}}
    event.write_text(json.dumps(payload))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_HEAD_REF": "fix/1",
        "GITHUB_BASE_REF": "v3-1-test",
        "GITHUB_REF_NAME": "1/merge",
        "AIRFLOW_IMAGES_CACHE_BRANCH": "",
    }


def test_a_branch_reads_itself_its_base_and_main_and_writes_itself(
    bench: Bench, pull: dict[str, str]
) -> None:
    event = Path(pull["GITHUB_EVENT_PATH"])
    event.write_text(event.read_text().replace("me/airflow", "apache/airflow"))
    done = bench.invoke(*BUILD, "--push-cache", **pull)
    assert done.returncode == 0, done.stderr
    (words,) = bench.builds()
    own = IMAGE.format("fix-1-4c3a94a4a0b1b4b9").partition("/ci/")[0].rpartition("-")[0]
    read = caches(words, "--cache-from")
    assert read[0].startswith(own)
    assert read[1:] == [IMAGE.format("v3-1-test"), IMAGE.format("main")]
    assert caches(words, "--cache-to") == read[:1]


@pytest.mark.parametrize("option", ["--push", "--push-by-digest", "--push-cache"])
def test_a_forks_pull_request_writes_nothing_whatever_it_asks_for(
    bench: Bench, pull: dict[str, str], option: str
) -> None:
    evil = ("--cache-to", "r/evil:x", "--cache-from", "r/evil:x", "--cache-branch", "main")
    done = bench.invoke(*BUILD, option, *evil, **pull, AIRFLOW_IMAGES_TRUSTED="1")
    assert done.returncode == 0, done.stderr
    (words,) = bench.builds()
    assert "--cache-to" not in words
    assert "push=true" not in " ".join(words)
    assert caches(words, "--cache-from") == [IMAGE.format("v3-1-test"), IMAGE.format("main")]
    assert (
        "caches are not written: this run is not trusted: "
        "it builds a pull request from me/airflow" in done.stderr
    )


def test_a_run_that_is_told_so_writes_and_merges_nothing(bench: Bench) -> None:
    done = bench.invoke(*BUILD, "--push", "--push-cache", AIRFLOW_IMAGES_TRUSTED="0")
    assert done.returncode == 0, done.stderr
    (words,) = bench.builds()
    assert words[words.index("--output") + 1] == "type=cacheonly"
    assert lines(done.stderr)[0] == (
        "images and caches are not written: this run is not trusted: AIRFLOW_IMAGES_TRUSTED says so"
    )
    done = bench.invoke("image.merge", "--python", "3.11", AIRFLOW_IMAGES_TRUSTED="0")
    assert done.returncode == 0
    assert last(done.stderr).startswith("nothing is merged: this run is not trusted: ")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        (
            {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "issue_comment"},
            "the event 'issue_comment' does not tell whose code is built",
        ),
        ({"JENKINS_URL": "https://host"}, "cannot tell whose code Jenkins builds"),
        ({"CI": "true"}, "cannot tell whose code this CI system builds"),
    ],
)
def test_a_run_that_nothing_vouches_for_writes_nothing_and_says_how_to_trust_it(
    bench: Bench, environment: dict[str, str], reason: str
) -> None:
    options = (*BUILD, "--push", "--push-cache")
    done = bench.invoke(*options, **environment)
    assert done.returncode == 0, done.stderr
    assert lines(done.stderr)[0] == (
        f"images and caches are not written: this run is not trusted: {reason} "
        "(AIRFLOW_IMAGES_TRUSTED=1 in its environment trusts it)"
    )
    done = bench.invoke(*options, **environment, AIRFLOW_IMAGES_TRUSTED="1")
    untrusted, trusted = bench.builds()
    assert "--cache-to" not in untrusted
    assert caches(trusted, "--cache-to") == [IMAGE.format("main")]


def test_a_detached_head_writes_the_cache_that_is_named_and_no_other(
    bench: Bench, tmp_path: Path
) -> None:
    project = bench.copy(tmp_path / "project")
    for words in (
        ("init", "--quiet"),
        ("add", "."),
        ("-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--message=x"),
        ("checkout", "--quiet", "--detach"),
    ):
        subprocess.run(["/usr/bin/git", "-C", str(project.root), *words], check=True)
    options = (*BUILD, "--push", "--push-cache")
    done = project.invoke(*options, AIRFLOW_IMAGES_CACHE_BRANCH="")
    assert done.returncode == 0, done.stderr
    assert lines(done.stderr)[0] == (
        "caches are not written: no branch is checked out: name a branch with --cache-branch"
    )
    project.invoke(*options, "--cache-branch", "v3")
    silent, named = project.builds()
    assert "--cache-to" not in silent
    assert "push=true" in " ".join(silent)
    assert caches(named, "--cache-to") == [IMAGE.format("v3")]


def test_a_merge_queue_pushes_reads_its_bases_cache_and_writes_none(bench: Bench) -> None:
    queue = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "merge_group",
        "GITHUB_REF_TYPE": "branch",
        "GITHUB_REF_NAME": f"gh-readonly-queue/v3-1-test/pr-7-{'0123456789' * 4}",
        "AIRFLOW_IMAGES_CACHE_BRANCH": "",
    }
    done = bench.invoke(*BUILD, "--push", "--push-cache", **queue)
    assert done.returncode == 0, done.stderr
    assert lines(done.stderr)[0] == (
        "caches are not written: a merge queue has no cache of its own: name a branch with "
        "--cache-branch"
    )
    (words,) = bench.builds()
    assert "push=true" in " ".join(words)
    assert "--cache-to" not in words
    assert caches(words, "--cache-from") == [IMAGE.format("v3-1-test"), IMAGE.format("main")]


@pytest.mark.parametrize("task", ["settings", "engine.status"])
def test_a_misspelt_variable_is_one_line(bench: Bench, task: str) -> None:
    done = bench.invoke(task, AIRFLOW_IMAGES_TRUSTD="0")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "unknown variable 'AIRFLOW_IMAGES_TRUSTD': did you mean AIRFLOW_IMAGES_TRUSTED?"
    )


def test_other_places_are_passed_on(bench: Bench) -> None:
    options = ("--cache-from", "type=gha", "--cache-from", "r/a:{python}", "--cache-to", "type=gha")
    by_nox, by_invoke = bench.both("build_ci-3.11-amd64", BUILD, *options)
    assert (by_nox.returncode, by_invoke.returncode) == (0, 0), by_nox.stderr + by_invoke.stderr
    first, second = bench.builds()
    assert first == second
    assert caches(first, "--cache-from") == ["type=gha,scope=ci-3.11-amd64", "r/a:3.11"]
    assert caches(first, "--cache-to") == ["type=gha,scope=ci-3.11-amd64"]


def asked(bench: Bench) -> list[str]:
    """Return the caches that registries were asked for."""
    return [words[-1] for words in bench.told() if words[1:3] == ["imagetools", "inspect"]]


def test_a_batch_asks_for_each_cache_once_and_a_dry_run_for_none(bench: Bench) -> None:
    both = ("image.build", "--python", "3.11,3.12", "--platform", "linux/amd64")
    shared = ("--cache-from", "r/shared:x", "--cache-from", "r/own-{identity}:x")
    assert bench.invoke(*both, *shared, "--dry-run").stdout.count("--cache-from") == 4
    assert asked(bench) == []
    done = bench.invoke(*both, *shared)
    assert done.returncode == 0, done.stderr
    assert sorted(asked(bench)) == [
        "r/own-ci-3.11-amd64:x",
        "r/own-ci-3.12-amd64:x",
        "r/shared:x",
    ]


def test_a_cache_that_nobody_has_written_is_left_out_calmly(bench: Bench) -> None:
    done = bench.invoke(*BUILD, FAKE_NO_CACHE="1")
    assert done.returncode == 0, done.stderr
    (words,) = bench.builds()
    assert caches(words, "--cache-from") == []
    own = IMAGE.format("main")
    assert f"ci-3.11-amd64: no cache yet: {own} (first build of this branch)\n" in done.stderr
    assert "warning" not in done.stderr


def test_a_registry_that_does_not_answer_is_left_out_and_strictly_an_error(bench: Bench) -> None:
    done = bench.invoke(*BUILD, "--strict-cache", FAKE_SILENT="60")
    assert done.returncode == 4, done.stderr
    (words,) = bench.builds()
    assert caches(words, "--cache-from") == []
    own = IMAGE.format("main")
    assert f"warning: the cache {own} is left out: no answer within 8 s\n" in done.stderr
    assert f"the cache {own} was not read: no answer within 8 s" in last(done.stderr)


def test_a_cache_inside_of_an_image_that_is_not_kept_is_refused(bench: Bench) -> None:
    done = bench.invoke("cache.push", "--python", "3.11", "--cache-to", "type=inline")
    assert done.returncode == 2
    assert last(done.stderr) == (
        "--cache-to: type=inline: the cache is part of the image, and this keeps no image: "
        "add it to a build with --push, or choose another type"
    )
    assert bench.builds() == []


def test_a_place_of_the_settings_is_written_only_when_asked(bench: Bench) -> None:
    place = {"AIRFLOW_IMAGES_CACHE_TO": "type=gha"}
    bench.invoke(*BUILD, **place)
    bench.invoke(*BUILD, "--push-cache", **place)
    never, asked = bench.builds()
    assert "--cache-to" not in never
    assert caches(asked, "--cache-to") == ["type=gha,scope=ci-3.11-amd64"]


def test_two_builds_that_would_write_one_cache_do_not_start(bench: Bench) -> None:
    done = bench.invoke("image.build", "--python", "3.9,3.11", "--cache-to", "r/a:c")
    assert done.returncode == 2
    assert last(done.stderr).startswith("--cache-to: ci-3.9 and ci-3.11 would write the same")
    assert bench.builds() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cache-to", "type=ftp"], "--cache-to: unknown type 'ftp': choose registry, "),
        (["--cache-from", "type=gha,token=x"], "--cache-from: token: would be seen"),
        (
            ["--cache-imports", "some"],
            "--cache-imports: unknown cache imports 'some': choose all, main, none",
        ),
        (
            ["--output-compression", "xz"],
            "--output-compression: unknown compression 'xz': choose zstd, gzip",
        ),
        (["--cache-to", "type=s3,bucket=b"], "--cache-to: the engine's own builder has no cache"),
    ],
)
def test_a_wrong_place_is_one_line(bench: Bench, options: list[str], said: str) -> None:
    done = bench.invoke(*BUILD, *options)
    assert done.returncode in {2, 3}
    assert last(done.stderr).startswith(said)
    assert bench.builds() == []


def test_settings_show_places_as_buildx_takes_them(bench: Bench) -> None:
    done = bench.invoke("settings", "--json", "--cache-from", "r/a:c", "--cache-to", "type=gha")
    shown = json.loads(done.stdout)
    assert shown["cache.from"] == {"value": ["type=registry,ref=r/a:c"], "from": "--cache-from"}
    assert shown["cache.to"] == {"value": "type=gha", "from": "--cache-to"}


@pytest.mark.parametrize(("version", "stored"), [("v0.13.1", True), ("v0.22.0", False)])
def test_an_old_buildx_pushes_what_the_engine_stores(
    bench: Bench, version: str, stored: bool
) -> None:
    done = bench.invoke(*BUILD, "--push", FAKE_BUILDX_VERSION=version)
    assert done.returncode == 0, done.stderr
    (words,) = bench.builds()
    assert ("store=false" not in words[words.index("--output") + 1]) == stored
