"""A mistake in what a PROD build is asked for: one line with its exit code, in both front ends."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from fake_docker import ROOT, Bench, lines

SESSION = "build_prod-3.11"
TASK = ("image.build", "--kind", "prod", "--python", "3.11")


def refused(
    bench: Bench, code: int, *options: str, session: str = SESSION, **environment: str
) -> str:
    """Return the one line with which both front ends refuse, before anything is built."""
    kind = session.partition("_")[2].partition("-")[0]
    task = ("image.build", "--kind", kind, "--python", "3.11")
    by_nox, by_invoke = bench.both(session, task, *options, **environment)
    assert (by_nox.returncode, by_invoke.returncode) == (1, code), by_invoke.stderr
    prefix = f"nox > Session {session} aborted: "
    said = [line for line in lines(by_invoke.stderr) if not line.startswith("fetching ")]
    also = [line for line in lines(by_nox.stderr) if not line.startswith("fetching ")]
    also = [re.sub(r" \(took .*\)\.$", ".", line) for line in also]  # on a busy machine
    assert also == [f"{prefix}{said[0]}."] or also == [f"{prefix}{said[0]}"]
    assert len(said) == 1
    assert bench.builds() == []
    return said[0]


@pytest.fixture
def project(bench: Bench, tmp_path: Path) -> Bench:
    """The bench at a copy of the checkout, with an empty folder for wheels."""
    copied = bench.copy(tmp_path / "project")
    (copied.root / "docker-context-files").mkdir(exist_ok=True)
    return copied


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--constraints-mode", "none"],
            "--constraints-mode: unknown constraints mode 'none': choose constraints, "
            "constraints-no-providers, constraints-source-providers",
        ),
        (
            ["--prod-clients", "postgres,oracle"],
            "--prod-clients: unknown database client 'oracle': choose postgres, mysql, mssql",
        ),
        (
            ["--prod-profile", "slim", "--prod-clients", "mysql"],
            "--prod-clients: the profile slim (--prod-profile) has none: leave one of",
        ),
        (
            ["--prod-profile", "slim", "--airflow-extras", "ftp"],
            "--airflow-extras: the profile slim (--prod-profile) has none: leave one of",
        ),
        (["--prod-clients", "mysql,mysql"], "--prod-clients: mysql occurs twice"),
        (
            ["--dependencies-apt-runtime", "jq;rm"],
            "--dependencies-apt-runtime: expected the name of a Debian package",
        ),
        (
            ["--dependencies-apt-dev", "Gcc"],
            "--dependencies-apt-dev: expected the name of a Debian package",
        ),
        (
            ["--dependencies-python", "a b"],
            "--dependencies-python: expected a requirement like pytest or pytest>=8",
        ),
        (["--ci-extras", "ftp"], "--ci-extras: is for the CI image only"),
        (
            ["--airflow-extras-add", "odbcc"],
            "--airflow-extras-add: Airflow 3.3.2 has no extra 'odbcc': did you mean odbc",
        ),
        (
            ["--prod-profile", "slimm"],
            "--prod-profile: unknown profile 'slimm': did you mean slim?",
        ),
        (["--airflow-extras", "à"], "--airflow-extras: expected the name of an extra, got 'à'"),
        (["--sbom-scanner", "a b"], "--sbom-scanner: expected an image like "),
        (["--sbom"], "--sbom: only a pushed image can have one: add --push"),
        (["--airflow-from", ""], "--airflow-from: '' is no folder of Airflow's sources "),
        (
            ["--airflow-from", "/nowhere"],
            "--airflow-from: '/nowhere' is no folder of Airflow's sources (with a pyproject.toml):"
            " choose release, wheels, such a folder, or git+URL@REF",
        ),
        (["--airflow-from", "~nobody-here/a"], "--airflow-from: '~nobody-here/a' is no folder"),
        (["--airflow-from", "."], "--airflow-from: "),
        (["--airflow-from", "wheels"], "--airflow-from: there is no wheel in docker-context-file"),
        (["--airflow-from", "git+nothing"], "--airflow-from: 'git+nothing' is no repository: "),
        (
            ["--airflow-from", "git+git@github.com:apache/airflow.git@main"],
            "--airflow-from: 'git+git@github.com:apache/airflow.git@main' is no repository: write "
            "it git+https://HOST/PATH@REF",
        ),
        (["--airflow-from", "git+https://host"], "--airflow-from: 'git+https://host' is no repo"),
        (["--airflow-from", "git+file:///a@"], "--airflow-from: '' is no branch, tag or commit"),
        (["--airflow-from", "git+file:///a@-x"], "--airflow-from: '-x' is no branch, tag or com"),
        (
            ["--constraints-location", "/nowhere.txt"],
            "--constraints-location: /nowhere.txt: cannot be read: No such file or directory",
        ),
        (["--constraints-location", "/"], "--constraints-location: /: cannot be read: Is a dir"),
        (
            ["--constraints-location", "~nobody-here/x"],
            f"--constraints-location: {ROOT}/~nobody-here/x: cannot be read: No such file",
        ),
        (
            ["--constraints-location", "ftp://host/x"],
            "--constraints-location: 'ftp://host/x' is neither a file nor a web address",
        ),
        (["--constraints-location", "http://a b/"], "--constraints-location: 'http://a b/' is no "),
        (["--constraints-location", "http://[::1/x"], "--constraints-location: 'http://[::1/x' is"),
        (["--constraints-location", "http://h:x/"], "--constraints-location: 'http://h:x/' is no "),
        (["--constraints-location", "http://127.0.0.1:1/ü"], "--constraints-location: 'http://127"),
        (["--ca-bundle", "~nobody-here/ca.pem"], "--ca-bundle: no such file: ~nobody-here/ca.pem"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_one_line(bench: Bench, options: list[str], said: str) -> None:
    line = refused(bench, 2, *options)
    assert line.startswith(said)


def test_this_project_is_no_airflow(bench: Bench) -> None:
    line = refused(bench, 2, "--airflow-from", str(bench.root))
    assert line.endswith("has the sources of airflow-images, not of apache-airflow")


@pytest.mark.parametrize(
    "option", ["prod-profile", "prod-clients", "airflow-from", "dependencies-apt-runtime"]
)
def test_an_option_of_prod_is_none_of_ci(bench: Bench, option: str) -> None:
    value = {
        "prod-profile": ["slim"],
        "prod-clients": ["mysql"],
        "airflow-from": ["wheels"],
        "dependencies-apt-runtime": ["jq"],
    }
    line = refused(bench, 2, f"--{option}", *value.get(option, []), session="build_ci-3.11")
    assert line == f"--{option}: is for the PROD image only"


def test_what_the_environment_says_of_prod_is_no_mistake_for_ci(bench: Bench) -> None:
    done = bench.invoke("image.build", "--python", "3.11", AIRFLOW_IMAGES_PROD_SLIM="true")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("PROD_BUDGET", "1 GB", "expected a number of megabytes like 900, got '1 GB'"),
        ("PROD_SLIM_BUDGET", "-1", "expected a number of megabytes like 900, got '-1'"),
        ("PROD_SLIM", "maybe", "expected true or false, got 'maybe'"),
        ("PIP_VERSION", "new", "expected a version like 3.3.2, got 'new'"),
    ],
)
def test_a_wrong_variable_is_one_line(bench: Bench, setting: str, value: str, said: str) -> None:
    variable = f"AIRFLOW_IMAGES_{setting}"
    done = bench.invoke(*TASK, **{variable: value})
    assert done.returncode == 2
    assert lines(done.stderr) == [f"{variable}: {said}"]
    done = bench.nox(SESSION, **{variable: value})
    assert done.returncode == 1
    assert lines(done.stderr) == [f"nox > {variable}: {said}"]


@pytest.mark.parametrize("options", [(), ("--prod-profile", "slim"), ("--airflow-from", ".")])
def test_files_that_nobody_asked_for_are_refused(project: Bench, options: tuple[str, ...]) -> None:
    wheels = project.root / "docker-context-files"
    for harmless in ("README.md", ".gitignore", ".gitkeep"):
        (wheels / harmless).touch()
    assert project.invoke(*TASK).returncode == 0
    (project.folder / "log").unlink()
    (wheels / "my notes.txt").touch()
    line = refused(project, 2, *options)
    assert line == (
        "docker-context-files/my notes.txt: would not be used: remove it, or install it with "
        "--airflow-from wheels"
    )
    assert project.invoke("image.build", "--python", "3.11").returncode == 0  # CI has no wheels


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["README.md"], "--airflow-from: there is no wheel in docker-context-files/"),
        (
            ["airflow.tar.gz"],
            "docker-context-files/airflow.tar.gz: is no wheel, like NAME-1.0-py3-none-any.whl",
        ),
        (["a-1-py3-none-any.WHL"], "docker-context-files/a-1-py3-none-any.WHL: is no wheel, like "),
        (["a-x-py3-none-any.whl"], "docker-context-files/a-x-py3-none-any.whl: is no wheel, like "),
        (
            ["A_b-1-py3-none-any.whl", "a.b-2-py3-none-any.whl"],
            "docker-context-files/a.b-2-py3-none-any.whl: there is another wheel of a-b",
        ),
        (["folder-1-py3-none-any.whl/x"], "docker-context-files/folder-1-py3-none-any.whl: is no "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wheels_that_are_none_are_refused(project: Bench, files: list[str], said: str) -> None:
    for name in files:
        file = project.root / "docker-context-files" / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    assert refused(project, 2, "--airflow-from", "wheels").startswith(said)


def test_a_link_to_a_wheel_is_refused(project: Bench) -> None:
    wheel = project.folder / "a-1-py3-none-any.whl"
    wheel.touch()
    (project.root / "docker-context-files" / wheel.name).symlink_to(wheel)
    line = refused(project, 2, "--airflow-from", "wheels")
    assert line == f"docker-context-files/{wheel.name}: is no file; links are not followed"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"pyproject.toml": "x = "}, "pyproject.toml: Invalid value (at "),
        ({"pyproject.toml": b"\xff"}, "pyproject.toml: cannot be read: line 1 is not UTF-8"),
        ({"pyproject.toml": "[project]\nname = 'x'"}, " has the sources of x, not of apache-air"),
        ({"pyproject.toml": ""}, " does not say which version of Airflow it is"),
        (
            {"pyproject.toml": "", "airflow/__init__.py": b"\xff__version__ = 1"},
            " does not say which version of Airflow it is",
        ),
    ],
    ids=str,
)
def test_sources_that_are_none_are_refused(
    bench: Bench, files: dict[str, str | bytes], said: str
) -> None:
    folder = bench.folder / "sources"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    line = refused(bench, 2, "--airflow-from", str(folder))
    assert line.startswith(f"--airflow-from: {folder}")
    assert said in line


@pytest.mark.parametrize(
    "source",
    [
        "git+https://me:geheim@host/airflow@main",
        "git+https://geheim@host/airflow@main",
        "git+HTTPS://geheim@host/airflow@main",
        "git+ssh://me:geheim@host/airflow@main",
        "git+https://me:geheim@[::1/airflow@main",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_shown(bench: Bench, source: str) -> None:
    line = refused(bench, 2, "--airflow-from", source)
    assert line.startswith("--airflow-from: 'git+")
    assert line.endswith(
        " contains a secret (***), which commands and logs would show: leave it to git"
    )


def test_a_password_in_the_address_of_constraints_is_refused_and_not_shown(bench: Bench) -> None:
    line = refused(bench, 2, "--constraints-location", "https://me:geheim@host/x.txt")
    assert line.endswith(" contains a secret (***), which commands and logs would show: use a file")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    git = ("/usr/bin/git", "-c", "user.name=x", "-c", "user.email=x@x")
    subprocess.run([*git, "init", "--quiet", str(folder)], check=True)
    (folder / "README").touch()
    subprocess.run([*git, "-C", str(folder), "add", "."], check=True)
    subprocess.run([*git, "-C", str(folder), "commit", "--quiet", "--message", "x"], check=True)
    return folder


def test_a_reference_that_is_not_there_is_one_line(bench: Bench, repository: Path) -> None:
    line = refused(bench, 2, "--airflow-from", f"git+file://{repository}@v9")
    assert line == (f"--airflow-from: file://{repository} has no 'v9': couldn't find remote ref v9")
    missing = "0123456789" * 4
    done = bench.invoke(*TASK, "--airflow-from", f"git+file://{repository}@{missing}")
    assert done.returncode == 2
    assert f"has no '{missing}': " in done.stderr


def test_a_repository_without_airflow_is_one_line(bench: Bench, repository: Path) -> None:
    line = refused(bench, 2, "--airflow-from", f"git+file://{repository}@HEAD")
    assert " is no folder of Airflow's sources (with a pyproject.toml): " in line


def test_a_repository_that_cannot_be_reached_is_one_line(bench: Bench) -> None:
    line = refused(bench, 7, "--airflow-from", "git+file:///nowhere/airflow@main")
    assert line == (
        "--airflow-from: file:///nowhere/airflow cannot be fetched: "
        "'/nowhere/airflow' does not appear to be a git repository"
    )
    line = refused(bench, 7, "--airflow-from", "git+http://127.0.0.1:1/airflow@main")
    assert line.startswith("--airflow-from: http://127.0.0.1:1/airflow cannot be fetched: ")


def test_a_missing_git_is_one_line(bench: Bench) -> None:
    (bench.folder / "bin" / "sh").symlink_to("/bin/sh")
    line = refused(
        bench, 127, "--airflow-from", "git+file:///x@main", PATH=str(bench.folder / "bin")
    )
    assert line == "--airflow-from: git is not installed"


EXPECTED = "expected a constraint like name==1.2.3"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ": has no constraint"),
        ("# nothing\n\n", ": has no constraint"),
        ("a==1\r\n-r other.txt\r\n", f":2: {EXPECTED}, got '-r other.txt'"),
        ("a==1\n--hash=sha256:0\n", f":2: {EXPECTED}, got '--hash=sha256:0'"),
        ("<!DOCTYPE html>", f":1: {EXPECTED}, got '<!DOCTYPE html>'"),
        ("a==1 \\\n  --x\n", f":1: {EXPECTED}, got 'a==1 \\\\'"),
        ("a==ü\n", f":1: {EXPECTED}, got 'a==ü'"),
        (b"\xff\xfe", ": cannot be read: it is UTF-16, not UTF-8"),
    ],
)
def test_constraints_that_are_none_are_one_line(
    bench: Bench, content: str | bytes, said: str
) -> None:
    own = bench.folder / "own file.txt"
    own.write_bytes(content.encode() if isinstance(content, str) else content)
    line = refused(bench, 2, "--constraints-location", str(own))
    assert line == f"--constraints-location: {own}{said}"


def test_constraints_that_the_web_does_not_have_are_one_line(bench: Bench, web: str) -> None:
    line = refused(bench, 2, "--constraints-location", f"{web}/404")
    assert line == f"--constraints-location: {web}/404: 404 Not Found"
    line = refused(bench, 7, "--constraints-location", f"{web}/cut")
    assert line.startswith(f"--constraints-location: {web}/cut: IncompleteRead(")
    line = refused(bench, 7, "--constraints-location", "http://127.0.0.1:1/x")
    assert line.endswith("http://127.0.0.1:1/x: [Errno 111] Connection refused")


def test_a_scanner_that_cannot_be_had_is_one_line(bench: Bench) -> None:
    line = refused(bench, 2, "--push", "--sbom")
    assert line.startswith(
        "--sbom: the scanner docker/buildkit-syft-scanner:stable-1 cannot be had: name another one "
        "with --sbom-scanner (docker/buildkit-syft-scanner:stable-1: "
    )


@pytest.mark.parametrize("kind", ["ci", "prod"])
def test_an_unknown_extra_is_refused_before_anything_starts(bench: Bench, kind: str) -> None:
    options = ("--kind", kind, "--python", "3.11", "--airflow-extras", "celery,postgress")
    done = bench.invoke("image.build", *options)
    assert done.returncode == 2
    assert lines(done.stderr)[-1].startswith(
        "--airflow-extras: Airflow 3.3.2 has no extra 'postgress': did you mean postgres"
    )
    assert bench.told() == []


def test_a_setting_that_is_for_prod_alone_is_said_to_be_where_ci_is_built(bench: Bench) -> None:
    tree = bench.folder / "tree"
    variables = {
        "AIRFLOW_IMAGES_AIRFLOW_FROM": str(tree),
        "AIRFLOW_IMAGES_CONSTRAINTS_LOCATION": str(bench.folder / "c.txt"),
    }
    done = bench.invoke("image.build", "--kind", "ci", "--python", "3.11", **variables)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in lines(done.stderr) if line.startswith("warning: ")]
    ends = (" (ci.from is for that one)", "")
    assert warnings == [
        f"warning: {name}: does not count for the CI image, only for PROD{end}"
        for name, end in zip(variables, ends, strict=True)
    ]


def test_an_added_package_that_no_constraints_pin_is_warned_of_once(bench: Bench) -> None:
    added = "pandas>=2,not-in-constraints,pinned-here==1.0"
    options = ("--kind", "ci,prod", "--python", "3.11", "--dependencies-python", added)
    done = bench.invoke("image.build", *options)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in lines(done.stderr) if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "not-in-constraints: constraints/constraints-3.11.txt has no version" in warnings[0]
    assert "pinned-here" not in warnings[0]
