"""Whether images are current, and why builds were not cached, as people ask."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
import tomllib
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from fake_docker import ROOT, Bench, last, listing

from build_tasks.history import journal
from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.inputs import dockerfile
from build_tasks.inputs.fingerprint import LABEL

IMAGE = "ghcr.io/apache/airflow/main/ci/python3.11:latest"
BASE = "python:3.11-slim-bookworm"
CHECK = ("image.check", "--kind", "ci", "--python", "3.11")


@pytest.fixture
def place(bench: Bench, tmp_path: Path) -> Bench:
    """A copy of the checkout, and a registry that has the base image."""
    (tmp_path / "registry").mkdir()
    bench.environment["FAKE_REGISTRY"] = str(tmp_path / "registry")
    copy = bench.copy(tmp_path / "project")
    put(copy, BASE, layers=["1", "2"])
    return copy


def put(place: Bench, reference: str, *, layers: list[str], label: str = "") -> None:
    """Give the registry an image."""
    name = reference.translate(str.maketrans("/:@", "___"))
    config = {
        "architecture": "amd64",
        "config": {"Labels": {LABEL: label} if label else None},
        "rootfs": {"diff_ids": layers},
    }
    answer(place, reference, {"manifest": {"digest": f"sha256:{name}"}, "image": config})


def answer(place: Bench, reference: str, facts: dict[str, Any]) -> None:
    """Have the registry say something of a name."""
    name = reference.translate(str.maketrans("/:@", "___"))
    (Path(place.environment["FAKE_REGISTRY"]) / name).write_text(json.dumps(facts))


def label(place: Bench) -> str:
    """Return the label that a build would give its image."""
    words = shlex.split(place.invoke("image.build", "--python", "3.11", "--dry-run").stdout)
    return next(word.partition("=")[2] for word in words if word.startswith(f"{LABEL}="))


def of_engine(text: str, layers: list[str]) -> dict[str, str]:
    facts = {
        "Id": "sha256:e",
        "Architecture": "amd64",
        "Config": {"Labels": {LABEL: text}},
        "RootFS": {"Layers": layers},
    }
    return {"FAKE_IMAGE": json.dumps([facts])}


def test_an_image_that_nobody_has_is_out_of_date_and_that_is_no_failure(place: Bench) -> None:
    done = place.invoke(*CHECK)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "ci-3.11-amd64: out of date",
        f"  the engine has no {IMAGE}",
        f"  the registry has no {IMAGE}",
        "  invoke image.build --kind ci --python 3.11",
    ]
    assert not place.builds()


def test_asking_to_fail_gives_a_code_of_its_own(place: Bench) -> None:
    caches = ("--cache-from", "ghcr.io/a/b:c", "--cache-from", "ghcr.io/a/b:d")
    done = place.invoke(*CHECK, "--fail", "--airflow-extras", "ftp", "--platform", "amd64", *caches)
    assert done.returncode == 13
    assert last(done.stderr) == "out of date: ci-3.11-amd64"
    options = " ".join((*caches, "--airflow-extras", "ftp"))
    assert last(done.stdout) == (
        f"  invoke image.build --kind ci --python 3.11 --platform linux/amd64 {options}"
    )


def test_the_registry_or_the_engine_may_have_it(place: Bench) -> None:
    text = label(place)
    put(place, IMAGE, layers=["1", "2", "3"], label=text)
    done = place.invoke(*CHECK, "--fail")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "ci-3.11-amd64: current",
        f"  the engine has no {IMAGE}",
        f"  the registry has it: {IMAGE}",
    ]
    put(place, IMAGE, layers=["1", "2", "3"])
    engine = of_engine(text, ["1", "2", "3"])
    both = place.invoke(*CHECK, **engine).stdout.splitlines()
    assert both == [
        "ci-3.11-amd64: current",
        f"  the engine has it: {IMAGE}",
        "  the registry has an older one, since changed: inputs",
    ]
    assert place.invoke(*CHECK, "--fail", "--remote", **engine).returncode == 13
    assert place.invoke(*CHECK, "--fail", "--local", **engine).returncode == 0


def test_a_comment_changes_nothing_and_an_instruction_does(place: Bench) -> None:
    put(place, IMAGE, layers=["1", "2", "3"], label=label(place))
    file = place.root / "Dockerfile.ci"
    text = file.read_text()
    file.write_text(f"# a comment\n{text}")
    assert place.invoke(*CHECK, "--fail").returncode == 0
    file.write_text(text.replace("sqlite3 \\", "sqlite3 tree \\"))
    done = place.invoke(*CHECK, "--remote")
    assert done.stdout.splitlines()[1] == (
        "  the registry has an older one, since changed: dockerfile"
    )


def test_a_changed_umask_changes_nothing_and_an_edit_is_named(place: Bench) -> None:
    text = label(place)
    put(place, IMAGE, layers=["1", "2", "3"], label=text)
    for path in (place.root / "sources").rglob("*"):
        path.chmod(0o775 if path.is_dir() else 0o664)
    assert place.invoke(*CHECK, "--fail").returncode == 0
    (place.root / "sources/dags/smoke.py").write_text("edited\n")
    done = place.invoke(*CHECK, "--remote")
    assert "since changed: files" in done.stdout


def test_a_moved_base_is_seen_and_a_silent_one_is_said(place: Bench) -> None:
    put(place, IMAGE, layers=["1", "2", "3"], label=label(place))
    put(place, BASE, layers=["1", "9"])
    assert "since changed: base\n" in place.invoke(*CHECK, "--remote").stdout
    (Path(place.environment["FAKE_REGISTRY"]) / BASE.replace(":", "_")).unlink()
    done = place.invoke(*CHECK, "--remote", "--fail")
    assert done.returncode == 0
    assert last(done.stdout) == (
        f"  unknown whether the base image changed: the registry has no {BASE}"
    )


def test_a_registry_that_does_not_answer_is_said(place: Bench) -> None:
    fake = place.environment["DOCKER_CONFIG"] + "/cli-plugins/docker-buildx"
    text = Path(fake).read_text().replace("not found", "unexpected status: 503")
    Path(fake).write_text(text)
    done = place.invoke(*CHECK, "--remote")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1] == (
        f"  the registry did not answer: {IMAGE}: {IMAGE}: unexpected status: 503"
    )
    assert done.stdout.startswith("ci-3.11-amd64: not known\n")
    failed = place.invoke(*CHECK, "--fail")
    assert failed.returncode == 4
    assert last(failed.stderr) == "cannot tell whether up to date: ci-3.11-amd64"


def test_the_answer_as_json(place: Bench) -> None:
    done = place.invoke(*CHECK, "--json", "--remote")
    (one,) = json.loads(done.stdout)
    assert one["verdict"] == "out of date"
    assert one["identity"] == "ci-3.11-amd64"
    assert one["command"] == "invoke image.build --kind ci --python 3.11"
    assert one["findings"][0]["place"] == "registry"


def test_one_place_at_a_time(place: Bench) -> None:
    done = place.invoke(*CHECK, "--local", "--remote")
    assert done.returncode == 2
    assert last(done.stderr).startswith("--local --remote: ")


def test_the_hook_advises_and_fails_only_when_told(place: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "images.toml").write_text('pythons = ["3.11"]\nrepository = "team/airflow"\n')

    def hook(*arguments: str) -> tuple[int, str, str]:
        program = f"import sys; sys.path.insert(0, {str(place.root)!r})\n"
        program += "from build_tasks.front.hook import main\n"
        program += "sys.argv[0] = 'airflow-images-check'; sys.exit(main())"
        there = replace(place, root=folder)
        # `python -c` takes the place of the installed script.
        done = there.run_program(sys.executable, "-c", program, *arguments)
        return done.returncode, done.stdout, done.stderr

    code, out, _ = hook()
    assert code == 0
    assert "ci-3.11-amd64: out of date" in out
    assert "prod-3.11-amd64: out of date" in out
    assert "ghcr.io/team/airflow/main/prod/python3.11:latest" in out
    assert "  airflow-images image.build --kind ci --python 3.11" in out.splitlines()
    (folder / "noxfile.py").write_text("from build_tasks.front.nox_sessions import register\n")
    assert "  nox -s build_prod-3.11" in hook("--kind", "prod")[1].splitlines()
    named = hook("--file", str(folder / "images.toml"), "--kind", "ci")[1]
    assert f"  env AIRFLOW_IMAGES_FILE={folder}/images.toml nox -s build_ci-3.11" in named
    assert hook("--fail", "--kind", "ci")[0] == 13
    (folder / "images.toml").write_text("wrong = 1\n")
    code, _, err = hook()
    assert (code, err.startswith("airflow-images-check: images.toml: unknown key")) == (0, True)
    assert hook("--fail")[0] == 2
    assert hook("--fial")[0] == 0
    assert not place.builds()


def test_the_hook_needs_only_the_packages_that_its_environment_has(
    place: Bench, tmp_path: Path
) -> None:
    text = (ROOT / ".pre-commit-hooks.yaml").read_text()
    listed = re.search(r"additional_dependencies: (.*)", text)
    assert listed
    option, *needed = json.loads(listed[1])
    assert option == "--no-deps"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(needed) < set(project["dependencies"])
    packages = tmp_path / "packages"
    packages.mkdir()
    for requirement in needed:
        name = requirement.partition(">")[0]
        assert not [one for one in metadata.requires(name) or [] if "extra ==" not in one]
        (packages / name).symlink_to(Path(str(metadata.distribution(name).locate_file(name))))
    program = "import sys; from build_tasks.front.hook import main; sys.exit(main())"
    path = f"{packages}:{place.root}"
    done = place.run_program(sys.executable, "-S", "-c", program, "--fail", PYTHONPATH=path)
    assert done.returncode == 13, done.stderr
    assert "ci-3.11-amd64: out of date" in done.stdout
    assert "prod-3.14-amd64: out of date" in done.stdout


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_hook_and_the_commit_without_a_traceback(
    place: Bench, signum: signal.Signals
) -> None:
    program = f"import os, sys; sys.path.insert(0, {str(place.root)!r})\n"
    program += "from build_tasks.commands import check\nfrom build_tasks.front import hook\n"
    program += f"check.check_image = lambda _: os.kill(os.getpid(), {signum.value})\n"
    done = place.run_program(sys.executable, "-c", f"{program}sys.exit(hook.main())")
    assert done.returncode == 128 + signum
    assert done.stderr == f"airflow-images-check: stopped by {signum.name}\n"


def record(run: str, *, word: str, cached: bool) -> BuildRecord:
    step = Step(
        "sha256:1" + word,
        "[2/2] RUN true",
        StepKind.STEP,
        number=2,
        total=2,
        started=True,
        cached=cached,
    )
    return BuildRecord(
        "ci-3.11-amd64",
        run=run,
        began=f"2026-01-0{run}T00:00:00",
        arguments={"WORD": word},
        instructions=("stage-0 1 FROM x", "stage-0 2 ARG WORD", "stage-0 3 RUN true"),
        steps=(step,),
    )


@pytest.fixture
def kept(place: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Three builds: one from nothing, one with another argument, and that one again."""
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", place.environment["AIRFLOW_IMAGES_CACHE"])
    journal.write(record("1", word="one", cached=False))
    journal.write(record("2", word="two", cached=False))
    journal.write(record("3", word="two", cached=True))
    return place


def test_the_last_build_is_explained(kept: Bench) -> None:
    done = kept.invoke("image.explain")
    assert (done.returncode, done.stdout) == (0, "")
    assert last(done.stderr) == "all steps were cached"
    done = kept.invoke("image.explain", "--record", "2")
    assert done.stdout.splitlines() == [
        "ci-3.11-amd64: 1 of 1 steps ran again since the build of 2026-01-01T00:00:00",
        "  2/2, line 3: true",
        "    argument WORD: 'one' -> 'two'",
    ]
    assert kept.invoke("image.explain", "--record", "1").stdout == (
        "ci-3.11-amd64: 1 of 1 steps ran: there is no earlier build to compare with\n"
    )


def test_two_builds_are_compared_by_name(kept: Bench) -> None:
    done = kept.invoke("image.explain", "--from", "3", "--record", "1", "--json")
    (one,) = json.loads(done.stdout)
    assert one["misses"][0]["causes"][0] == {
        "why": "argument",
        "what": "WORD",
        "before": "two",
        "now": "one",
        "place": "",
    }
    done = kept.invoke("image.explain", "--from", "nothing")
    assert done.returncode == 2
    assert last(done.stderr).startswith("no record of 'nothing': choose last")


def test_builds_of_different_images_are_not_compared(
    kept: Bench,
) -> None:
    journal.write(replace(record("4", word="x", cached=True), identity="ci-3.12-amd64"))
    done = kept.invoke("image.explain", "--record", "3", "--from", "4")
    assert done.returncode == 2
    assert last(done.stderr) == "--from 4: has no build of ci-3.11-amd64"


def test_a_record_of_the_image_names_the_file(kept: Bench) -> None:
    text = label(kept)
    put(kept, IMAGE, layers=["1", "2"], label=text)
    words = shlex.split(kept.invoke("image.build", "--python", "3.11", "--dry-run").stdout)
    given = [words[at + 1] for at, word in enumerate(words) if word == "--build-arg"]
    arguments = {one.partition("=")[0]: one.partition("=")[2] for one in given}
    instructions = dockerfile.parse((kept.root / "Dockerfile.ci").read_text())
    built = BuildRecord(
        "ci-3.11-amd64",
        run="7",
        began="2026-02",
        fingerprint=text,
        arguments=arguments,
        instructions=tuple(map(str, instructions)),
    )
    journal.write(built)
    done = kept.invoke(*CHECK, "--remote", "--airflow-extras", "ftp")
    assert "since changed: arguments (AIRFLOW_EXTRAS: 'async,celery," in done.stdout
    assert "...' -> 'ftp')" in done.stdout


def test_an_unchanged_image_is_tagged_by_the_registry(place: Bench) -> None:
    push = ("image.push", "--python", "3.11", "--skip-unchanged", "--tag", "new")
    put(place, IMAGE, layers=["1", "2", "3"], label=label(place))
    done = place.invoke(*push)
    assert done.returncode == 0, done.stderr
    image = IMAGE.removesuffix(":latest")
    digest = f"sha256:{IMAGE.translate(str.maketrans('/:@', '___'))}"
    created = [words[1:] for words in place.told() if words[1:3] == ["imagetools", "create"]]
    assert created == [
        [
            *("imagetools", "create", "--builder", "default", "--progress", "plain"),
            *("--tag", f"{image}:new", f"{image}@{digest}"),
        ]
    ]
    assert last(done.stderr).endswith(f"unchanged, tagged {image}:new {digest}")
    assert not place.builds()
    put(place, BASE, layers=["9"])
    assert place.invoke(*push).returncode == 0
    assert len(place.builds()) == 1
    (Path(place.environment["FAKE_REGISTRY"]) / BASE.replace(":", "_")).unlink()
    assert place.invoke(*push).returncode == 0
    assert len(place.builds()) == 2


def put_index(place: Bench, reference: str, labels: dict[str, str]) -> None:
    """Give the registry an image of several platforms, whose labels are given by architecture."""
    images = {
        f"linux/{one}": {
            "architecture": one,
            "config": {"Labels": {LABEL: text}},
            "rootfs": {"diff_ids": ["1"]},
        }
        for one, text in labels.items()
    }
    of_each = [{"digest": f"sha256:{one}", "platform": {"architecture": one}} for one in labels]
    manifest = {"digest": "sha256:whole", "manifests": of_each}
    answer(place, reference, {"manifest": manifest, "image": images})


def test_an_unchanged_image_of_several_platforms_is_tagged_as_a_whole(place: Bench) -> None:
    both = "linux/amd64,linux/arm64"
    push = ("image.push", "--python", "3.11", "--platform", both, "--skip-unchanged")
    node = listing("default", *both.split(","))
    text = label(place)
    image = IMAGE.removesuffix(":latest")
    put_index(place, BASE, {"amd64": "", "arm64": ""})
    put_index(place, IMAGE, {"amd64": text, "arm64": text})
    done = place.invoke(*push, "--tag", "new", FAKE_LS=node)
    assert done.returncode == 0, done.stderr
    created = [words[7:] for words in place.told() if words[1:3] == ["imagetools", "create"]]
    assert created == [["--tag", f"{image}:new", f"{image}@sha256:whole"]]
    assert f"ci-3.11: unchanged, tagged {image}:new sha256:whole" in done.stderr
    assert not place.builds()

    for labels in (
        {"amd64": text, "arm64": text.replace("files=", "files=0")[: len(text)]},
        {"amd64": text, "arm64": text, "s390x": text},
        {"amd64": text},
    ):
        before = len(place.builds())
        put_index(place, IMAGE, labels)
        done = place.invoke(*push, FAKE_LS=node, FAKE_METADATA="{}")
        assert ": unchanged" not in done.stderr
        assert len(place.builds()) == before + 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("ERROR: denied", 4),
        ("ERROR: failed to push x: unexpected status: 403 Forbidden", 5),
        ("ERROR: dial tcp 10.0.0.1:443: connection refused", 7),
    ],
)
def test_a_tag_that_the_registry_refuses_is_one_line(place: Bench, answer: str, code: int) -> None:
    put(place, IMAGE, layers=["1", "2", "3"], label=label(place))
    fake = Path(place.environment["DOCKER_CONFIG"]) / "cli-plugins/docker-buildx"
    refusing = f'[ "$2" = create ] && {{ echo "{answer}" >&2; exit 1; }}'
    text = fake.read_text().replace('[ "$2" = create ] && exit 0', refusing)
    assert refusing in text
    fake.write_text(text)
    push = ("image.push", "--python", "3.11", "--skip-unchanged", "--retries", "0")
    done = place.invoke(*push)
    assert done.returncode == code
    assert f"cannot be tagged: {answer.removeprefix('ERROR: ')}" in last(done.stderr)


@pytest.mark.parametrize("more", [("--load",), ("--push-by-digest",)])
def test_what_cannot_be_skipped_is_refused(place: Bench, more: tuple[str, ...]) -> None:
    done = place.invoke("image.build", "--python", "3.11", "--skip-unchanged", *more)
    assert done.returncode == 2
    assert last(done.stderr).startswith("--skip-unchanged: only an image that is pushed")
