"""The PROD image through both front ends: every option, and the exact command that it makes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from archives import wheel
from fake_docker import ROOT, Bench, echoed, last

from build_tasks.config import loading, profiles
from build_tasks.inputs.fingerprint import LABEL, SCHEME

GIT = ("/usr/bin/git", "-C", str(ROOT), "show", "--no-patch", "--format=%H %cI", "HEAD")
COMMIT, _, DATE = subprocess.run(GIT, capture_output=True, text=True, check=True).stdout.partition(
    " "
)
IMAGE = "ghcr.io/apache/airflow/main/prod/python3.11"
SESSION = "build_prod-3.11-amd64"
TASK = ("image.build", "--kind", "prod", "--python", "3.11", "--platform", "linux/amd64")
CHOSEN = loading.load(environment={})
EXTRAS = profiles.official_extras("3.3.2", "a test")
PROGRAMS = profiles.programs(CHOSEN)
#: The Debian packages of the official image: programs, clients, and what the extras need.
PACKAGES = " ".join(
    (*PROGRAMS, "postgresql-client", "default-mysql-client", "tdsodbc", "libmariadb3")
)
LOAD = ("--load", "--provenance", "false")


def command(  # noqa: PLR0913 - what may be different, by name
    bench: Bench,
    *,
    arguments: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    contexts: tuple[str, ...] = (),
    output: tuple[str, ...] = LOAD,
    slim: bool = False,
) -> list[str]:
    """Return the words after `build` of a PROD build, with what an option changes."""
    given = {
        "BASE_IMAGE": "python:3.11-slim-bookworm",
        "AIRFLOW_BASELINE": "constraints-no-providers" if slim else "baseline",
        "AIRFLOW_PYTHON_VERSION": "3.11",
        "AIRFLOW_UV_VERSION": CHOSEN.uv_version,
        "AIRFLOW_UV_PRERELEASE": CHOSEN.uv_prerelease,
        "ADDITIONAL_DEV_APT_DEPS": "",
        "ADDITIONAL_PYTHON_DEPS": "",
        "AIRFLOW_VERSION": "3.3.2",
        "AIRFLOW_EXTRAS": "" if slim else ",".join(EXTRAS),
        "AIRFLOW_INSTALLATION_METHOD": "release",
        "AIRFLOW_PROVIDERS_FROM_SOURCES": "",
        "AIRFLOW_CONSTRAINTS": "constraints",
        "AIRFLOW_PIP_VERSION": CHOSEN.pip_version,
        "AIRFLOW_UID": "50000",
        "AIRFLOW_HOME": "/opt/airflow",
        "AIRFLOW_USER_HOME_DIR": "/home/airflow",
        "AIRFLOW_BYTECODE": "airflow",
        "ADDITIONAL_RUNTIME_APT_DEPS": "" if slim else PACKAGES,
        "COMMIT_SHA": COMMIT if bench.root == ROOT else "",
        **(arguments or {}),
    }
    shown = {
        "org.apache.airflow.component": "airflow",
        "org.apache.airflow.image": "airflow",
        "org.apache.airflow.distro": "debian",
        "org.apache.airflow.module": "airflow",
        "org.apache.airflow.uid": "50000",
        "org.apache.airflow.version": given["AIRFLOW_VERSION"],
        "org.apache.airflow.python.version": "3.11",
        "org.apache.airflow.slim": "true" if slim else "",
        "org.apache.airflow.main-image.build-id": "",
        "org.apache.airflow.main-image.commit-sha": given["COMMIT_SHA"],
        "org.opencontainers.image.base.name": given["BASE_IMAGE"],
        "org.opencontainers.image.created": DATE.strip() if given["COMMIT_SHA"] else "",
        "org.opencontainers.image.description": "Apache Airflow, ready to be deployed",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": given["COMMIT_SHA"],
        "org.opencontainers.image.title": "Airflow PROD image",
        "org.opencontainers.image.version": given["AIRFLOW_VERSION"],
        **(labels or {}),
    }
    identity = f"prod{'-slim' if slim else ''}-3.11-amd64"
    words = ["--builder", "default", "--file", str(bench.root / "Dockerfile")]
    words += ["--platform", "linux/amd64", "--pull", "--progress", "rawjson"]
    for name, value in given.items():
        words += ["--build-arg", f"{name}={value}"] if value else []
    for name, value in shown.items():
        words += ["--label", f"{name}={value}"] if value else []
    for context in contexts:
        words += ["--build-context", context]
    cache = f"{IMAGE}:cache-linux-amd64{'-slim' if slim else ''}"
    words += ["--cache-from", f"type=registry,ref={cache}"]
    words += ["--tag", f"{IMAGE}:{'slim-latest' if slim else 'latest'}", *output]
    for name, value in shown.items():
        if "--output" in output and value and ".opencontainers." in name:
            words += ["--annotation", f"manifest,index:{name}={value}"]
    metadata = bench.folder / "cache" / "metadata" / f"{identity}.json"
    return [*words, "--metadata-file", str(metadata), str(bench.sent(bench.root))]


def built(bench: Bench, *options: str, **environment: str) -> list[str]:
    """Return the words after `build` that both front ends come to."""
    runs = bench.both(SESSION, TASK, *options, "--verbose", **environment)
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr + runs[1].stderr
    by_nox, by_invoke = (echoed(run.stderr) for run in runs)
    assert by_nox == by_invoke
    words = by_nox[by_nox.index("build") + 1 :]
    # What the label says is tests/unit/test_freshness.py's.
    (at,) = (
        at for at, word in enumerate(words) if word.startswith(f"{LABEL}={SCHEME} dockerfile=")
    )
    return [*words[: at - 1], *words[at + 1 :]]


@pytest.fixture
def project(bench: Bench, tmp_path: Path) -> Bench:
    """The bench at a copy of the checkout that the test may change."""
    return bench.copy(tmp_path / "project")


def test_a_build_without_options(bench: Bench) -> None:
    assert built(bench) == command(bench)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (
            ("--airflow-extras", "celery, odbc", "--airflow-extras-add", "jdbc,celery"),
            {
                "AIRFLOW_BASELINE": "baseline-ci",
                "AIRFLOW_EXTRAS": "celery,odbc,jdbc",
                "ADDITIONAL_RUNTIME_APT_DEPS": PACKAGES.replace(
                    "libmariadb3", "default-jre-headless"
                ),
            },
        ),
        (
            ("--airflow-extras", ","),
            {
                "AIRFLOW_BASELINE": "baseline-ci",
                "AIRFLOW_EXTRAS": "",
                "ADDITIONAL_RUNTIME_APT_DEPS": PACKAGES.replace(" libmariadb3", ""),
            },
        ),
        (
            ("--airflow-extras-add", "apache-cassandra"),
            {
                "AIRFLOW_EXTRAS": f"{','.join(EXTRAS)},apache-cassandra",
                "ADDITIONAL_DEV_APT_DEPS": "libev-dev",
            },
        ),
        (
            ("--dependencies-python", "polars>=1,<2, boto3[crt,s3],"),
            {"ADDITIONAL_PYTHON_DEPS": "polars<2,>=1 boto3[crt,s3]"},
        ),
        (("--dependencies-apt-dev", "libpq-dev,gcc"), {"ADDITIONAL_DEV_APT_DEPS": "libpq-dev gcc"}),
        (
            ("--dependencies-apt-runtime", "jq,vim=2:9.0"),
            {"ADDITIONAL_RUNTIME_APT_DEPS": f"{PACKAGES} jq vim=2:9.0"},
        ),
        (
            ("--prod-clients", "mysql", "--dependencies-apt-runtime", "jq"),
            {
                "ADDITIONAL_RUNTIME_APT_DEPS": " ".join(
                    (*PROGRAMS, "default-mysql-client", "libmariadb3", "jq")
                )
            },
        ),
        (
            ("--prod-clients", ""),
            {"ADDITIONAL_RUNTIME_APT_DEPS": " ".join((*PROGRAMS, "libmariadb3"))},
        ),
        (
            ("--constraints-mode", "constraints-no-providers"),
            {"AIRFLOW_CONSTRAINTS": "constraints-no-providers"},
        ),
        (
            ("--constraints-mode", "constraints-source-providers"),
            {
                "AIRFLOW_CONSTRAINTS": "constraints-source-providers",
                "AIRFLOW_PROVIDERS_FROM_SOURCES": "true",
            },
        ),
        (("--base-image", "r/python:{python}"), {"BASE_IMAGE": "r/python:3.11"}),
    ],
    ids=" ".join,
)
def test_an_option_changes_what_it_says_and_nothing_else(
    bench: Bench, options: tuple[str, ...], arguments: Mapping[str, str]
) -> None:
    assert built(bench, *options) == command(bench, arguments=arguments)


def test_slim_has_neither_extras_nor_clients_and_names_of_its_own(bench: Bench) -> None:
    words = built(bench, "--prod-profile", "slim")
    assert words == command(bench, slim=True)
    assert built(bench, AIRFLOW_IMAGES_PROD_SLIM="yes") == words
    assert built(bench, "--prod-slim") == words
    jq = {"ADDITIONAL_RUNTIME_APT_DEPS": "jq"}
    options = ("--prod-profile", "slim", "--dependencies-apt-runtime", "jq")
    assert built(bench, *options) == command(bench, slim=True, arguments=jq)


def test_a_build_id_is_a_label_and_the_last_argument_but_one(bench: Bench) -> None:
    words = built(bench, "--build-id", "run 7")
    arguments = [words[at + 1] for at, word in enumerate(words) if word == "--build-arg"]
    assert arguments[-2:] == ["BUILD_ID=run 7", f"COMMIT_SHA={COMMIT}"]
    assert "org.apache.airflow.main-image.build-id=run 7" in words
    assert built(bench, GITHUB_RUN_ID="run 7") == words


def test_what_is_pushed_says_how_it_was_made(bench: Bench) -> None:
    pushed = (
        "type=image,push=true,unpack=false,store=false,oci-mediatypes=true,"
        "compression=zstd,compression-level=1"
    )
    push = ("--output", pushed, "--provenance", "mode=min")
    assert built(bench, "--push") == command(bench, output=push)
    scanner = "docker/buildkit-syft-scanner:stable-1"
    expected = command(bench, output=(*push, "--sbom", f"generator={scanner}"))
    assert built(bench, "--push", "--sbom", FAKE_MANIFEST="{}") == expected
    own = command(bench, output=(*push, "--sbom", "generator=r/scanner:1"))
    options = ("--push", "--sbom", "--sbom-scanner", "r/scanner:1")
    assert built(bench, *options, FAKE_MANIFEST="{}") == own


def test_a_dry_run_is_the_command_of_the_real_run(bench: Bench) -> None:
    done = bench.invoke(*TASK, "--dry-run", "--prod-profile", "slim")
    assert bench.builds() == []
    real = bench.invoke(*TASK, "--prod-profile", "slim", "--verbose")
    # Only the display differs: a person who pastes the line has a terminal.
    shown = done.stdout.strip().replace("--progress auto", "--progress rawjson")
    assert f"+ {shown}" in real.stderr.splitlines()
    by_nox = bench.nox(SESSION, "--dry-run", "--prod-profile", "slim")
    assert by_nox.stdout == done.stdout


def test_what_is_set_says_where_it_came_from(bench: Bench) -> None:
    done = bench.invoke(
        *(
            "settings",
            "--prod-profile",
            "slim",
            "--prod-clients",
            "mysql",
            "--constraints-mode",
            "constraints",
        ),
        *("--airflow-from", "wheels", "--dependencies-apt-runtime", "jq"),
        AIRFLOW_IMAGES_CONSTRAINTS_LOCATION="own.txt",
        AIRFLOW_IMAGES_DEPENDENCIES_APT_DEV="gcc",
        AIRFLOW_IMAGES_PROD_BUDGET="900",
    )
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["prod.profile"] == ["slim", "--prod-profile"]
    assert rows["prod.clients"] == ["mysql", "--prod-clients"]
    assert rows["prod.budget"] == ["900", "AIRFLOW_IMAGES_PROD_BUDGET"]
    assert rows["constraints.location"] == ["own.txt", "AIRFLOW_IMAGES_CONSTRAINTS_LOCATION"]
    assert rows["airflow.from"] == ["wheels", "--airflow-from"]
    assert rows["dependencies.apt-runtime"] == ["jq", "--dependencies-apt-runtime"]
    assert rows["dependencies.apt-dev"] == ["gcc", "AIRFLOW_IMAGES_DEPENDENCIES_APT_DEV"]


def test_wheels_are_a_build_context(project: Bench) -> None:
    wheels = project.root / "docker-context-files"
    wheels.mkdir()
    (wheels / "README.md").touch()
    wheel(wheels / "apache_airflow-3.4.0rc1-py3-none-any.whl", *EXTRAS)
    (wheels / "other-1-py3-none-any.whl").touch()
    words = built(project, "--airflow-from", "wheels")
    sent = project.sent(wheels)
    assert words == command(
        project,
        arguments={"AIRFLOW_VERSION": "3.4.0rc1", "AIRFLOW_INSTALLATION_METHOD": "wheels"},
        contexts=(f"wheels={sent}",),
    )
    assert {file.name for file in sent.iterdir()} == {file.name for file in wheels.iterdir()}
    (wheels / "apache_airflow-3.4.0rc1-py3-none-any.whl").unlink()
    words = built(project, "--airflow-from", "wheels")
    assert "AIRFLOW_VERSION=3.3.2" in words  # Airflow itself is then the release


SOURCES = {"AIRFLOW_VERSION": "3.4.0", "AIRFLOW_INSTALLATION_METHOD": "sources"}


def sources(folder: Path) -> Path:
    (folder / "airflow-core/src/airflow").mkdir(parents=True)
    (folder / "airflow-core/src/airflow/__init__.py").write_text('__version__ = "3.4.0"\n')
    (folder / "pyproject.toml").write_text('[project]\nname = "apache-airflow"\n')
    return folder


def test_a_folder_of_sources_is_a_build_context(bench: Bench) -> None:
    folder = sources(bench.folder / "my airflow ü=1")
    words = built(bench, "--airflow-from", str(folder))
    contexts = (f"sources={bench.sent(folder)}",)
    assert words == command(bench, arguments=SOURCES, contexts=contexts)


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgSign=false")
    done = subprocess.run(
        ["/usr/bin/git", "-C", str(folder), *identity, *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = sources(tmp_path / "git@home" / "airflow")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "inside").symlink_to("run.sh")
    (folder / "outside").symlink_to("/etc/passwd")
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "One")
    git(folder, "tag", "--annotate", "--message", "Tagged", "v1")
    git(folder, "checkout", "--quiet", "-b", "topic/two")
    (folder / "airflow-core/src/airflow/__init__.py").write_text('__version__ = "3.5.0"\n')
    git(folder, "commit", "--quiet", "--all", "--message", "Two")
    git(folder, "checkout", "--quiet", "main")
    return folder


def fetched(words: list[str]) -> Path:
    (context,) = (word for word in words if word.startswith("sources="))
    return Path(context.removeprefix("sources="))


@pytest.mark.parametrize(
    ("reference", "version"),
    [("v1", "3.4.0"), ("main", "3.4.0"), ("topic/two", "3.5.0"), ("HEAD", "3.4.0")],
)
def test_a_git_reference_is_fetched_and_is_a_build_context(
    bench: Bench, repository: Path, reference: str, version: str
) -> None:
    words = built(bench, "--airflow-from", f"git+file://{repository}@{reference}")
    folder = fetched(words)
    arguments = {**SOURCES, "AIRFLOW_VERSION": version}
    assert words == command(bench, arguments=arguments, contexts=(f"sources={folder}",))
    assert bench.folder / "cache" / "kept" / "sources" in folder.parents
    assert not (folder / ".git").exists()


def test_a_commit_of_the_repository_may_be_named(bench: Bench, repository: Path) -> None:
    commit = git(repository, "rev-parse", "main")
    folder = fetched(built(bench, "--airflow-from", f"git+file://{repository}@{commit}"))
    assert folder.name == commit


def test_a_branch_that_moved_is_fetched_again(bench: Bench, repository: Path) -> None:
    source = f"git+file://{repository}@main"
    first = fetched(built(bench, "--airflow-from", source))
    (repository / "new").touch()
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "Three")
    second = fetched(built(bench, "--airflow-from", source))
    assert (second / "new").exists()
    assert not (first / "new").exists()


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.lstat().st_mode
        for path in (folder, *folder.rglob("*"))
        if not path.is_symlink()
    }


def test_modes_of_what_is_fetched_do_not_depend_on_the_umask(
    bench: Bench, repository: Path
) -> None:
    own = bench.folder / "own.txt"
    own.write_text("x==1\n")
    seen = []
    for mask in ("0002", "0077"):
        cache = bench.folder / f"cache-{mask}"
        options = f"--airflow-from git+file://{repository}@main --constraints-location {own}"
        options += " --verbose"
        script = f"umask {mask}; exec {sys.executable} -m invoke {' '.join(TASK)} {options}"
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            cwd=bench.root,
            env={**bench.environment, "AIRFLOW_IMAGES_CACHE": str(cache)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        words = echoed(done.stderr)
        folder = fetched(words)
        assert (folder / "inside").readlink() == Path("run.sh")
        assert (folder / "outside").readlink() == Path("/etc/passwd")
        (pins,) = (word for word in words if word.startswith("constraints="))
        seen.append((modes(folder), modes(Path(pins.partition("=")[2]))))
    assert seen[0] == seen[1]
    assert seen[0][0]["run.sh"] & 0o777 == 0o755
    assert seen[0][0]["pyproject.toml"] & 0o777 == 0o644


def test_fetching_in_a_hook_leaves_the_users_repository_alone(
    bench: Bench, repository: Path
) -> None:
    """Git tells a hook which repository it runs for, and every git that the hook starts."""
    theirs = sources(bench.folder / "theirs")
    git(bench.folder, "init", "--quiet", str(theirs))
    before = sorted(theirs.rglob("*"))
    hook = {"GIT_DIR": str(theirs / ".git"), "GIT_INDEX_FILE": str(theirs / ".git/index")}
    source = f"git+file://{repository}@main"
    done = bench.invoke(*TASK, "--airflow-from", source, **hook)
    assert done.returncode == 0, done.stderr
    assert sorted(theirs.rglob("*")) == before


def test_two_processes_fetch_the_same_at_once(bench: Bench, repository: Path) -> None:
    own = bench.folder / "own.txt"
    own.write_text("x==1\n")
    options = (
        *("--airflow-from", f"git+file://{repository}@main"),
        *("--constraints-location", str(own), "--verbose"),
    )
    running = [bench.start("invoke", *TASK, *options) for _ in range(4)]
    said = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, said
    assert len({tuple(echoed(text)) for text in said}) == 1


def test_own_constraints_are_a_build_context(bench: Bench) -> None:
    own = bench.folder / "my pins-3.11.txt"
    own.write_bytes(
        b"\xef\xbb\xbf# mine\r\nApache-Airflow == 3.3.2 # why\r\nx==1; python_version>'3'\r\n"
    )
    location = str(own).replace("3.11", "{python}")
    words = built(bench, "--constraints-location", location)
    (context,) = (word for word in words if word.startswith("constraints="))
    assert words == command(bench, contexts=(context,))
    folder = Path(context.removeprefix("constraints="))
    assert [file.name for file in folder.iterdir()] == ["constraints.txt"]
    text = (folder / "constraints.txt").read_text()
    assert text == "# mine\nApache-Airflow == 3.3.2 # why\nx==1; python_version>'3'\n"
    own.write_text("y==2\n")
    assert context not in built(bench, "--constraints-location", location)


def test_constraints_may_come_from_the_web(bench: Bench, web: str) -> None:
    words = built(bench, "--constraints-location", f"{web}/pins-{{python}}.txt")
    (context,) = (word for word in words if word.startswith("constraints="))
    folder = Path(context.removeprefix("constraints="))
    assert (folder / "constraints.txt").read_text() == "pins-3.11.txt==1\n"


def test_the_last_line_says_what_was_made(bench: Bench) -> None:
    done = bench.invoke(*TASK, "--prod-profile", "slim")
    assert last(done.stderr) == f"prod-slim-3.11-amd64: loaded {IMAGE}:slim-latest"
