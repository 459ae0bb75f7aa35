"""Files of requirements and of Debian packages, as a team has them beside its images.toml."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from archives import wheel
from fake_docker import Bench, echoed, last, lines

from build_tasks.inputs.fingerprint import LABEL

HASH = "--hash=sha256:" + "0a" * 32
KINDS = ("ci", "prod")


@pytest.fixture
def team(bench: Bench, tmp_path: Path) -> Bench:
    """The bench at a copy of the checkout with files of packages, which git does not know."""
    copied = bench.copy(tmp_path / "project")
    root = copied.root
    settings = root / "images.toml"
    text = settings.read_text()
    for old, new in (
        ("python = []", 'python = ["-r deps/requirements-{python}.txt", "-c deps/own.txt"]'),
        ("apt-dev = []", 'apt-dev = ["-r packages.txt"]'),
        ("apt-runtime = []", 'apt-runtime = ["jq", "-r packages.txt"]'),
    ):
        assert old in text
        text = text.replace(old, new)
    settings.write_text(text)
    (root / "deps").mkdir()
    (root / "deps/requirements-3.11.txt").write_text(
        f"-r common.txt  # for all\npyjokes==0.6.0 \\\n    {HASH}\n"
    )
    (root / "deps/common.txt").write_text("cowsay ; python_version < '3.12'\nidna\n")
    (root / "deps/own.txt").write_text("cowsay==6.1\n")
    (root / "packages.txt").write_text("# Debian\ntree\nlibgvc6\n")
    return copied


def built(team: Bench, kind: str) -> list[str]:
    """Return the words of the build that both front ends start."""
    task = ("image.build", "--kind", kind, "--python", "3.11")
    runs = team.both(f"build_{kind}-3.11", task, "--verbose")
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr + runs[1].stderr
    by_nox, by_invoke = (echoed(run.stderr) for run in runs)
    assert by_nox == by_invoke
    assert not [line for line in lines(runs[1].stderr) if line.startswith("warning")]
    return by_nox


def dry(team: Bench, *options: str) -> list[str]:
    done = team.invoke("image.build", "--python", "3.11", "--dry-run", *options)
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout)


def label(words: list[str]) -> dict[str, str]:
    """Return the parts of the fingerprint in a command."""
    text = next(word for word in words if word.startswith(f"{LABEL}="))
    return dict(re.findall(r"(\w+)=([0-9a-f]{12})", text))


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_a_context_and_their_names_are_an_argument(team: Bench, kind: str) -> None:
    words = built(team, kind)
    assert "ADDITIONAL_PYTHON_DEPS=-r deps/requirements-3.11.txt -c deps/own.txt" in words
    assert "ADDITIONAL_DEV_APT_DEPS=tree libgvc6" in words
    if kind == "prod":
        (packages,) = (word for word in words if word.startswith("ADDITIONAL_RUNTIME_APT_DEPS="))
        assert packages.endswith(" jq tree libgvc6")
    (context,) = (word for word in words if word.startswith("requirement-files="))
    folder = Path(context.partition("=")[2])
    assert words[words.index(context) - 1] == "--build-context"
    texts = {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*.txt")}
    assert texts == {
        "deps/requirements-3.11.txt": f"-r common.txt\npyjokes==0.6.0 {HASH}\n",
        "deps/common.txt": "cowsay ; python_version < '3.12'\nidna\n",
        "deps/own.txt": "cowsay==6.1\n",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_in_the_files_is_part_of_the_fingerprint(team: Bench, kind: str) -> None:
    before = label(dry(team, "--kind", kind))
    common, packages = team.root / "deps/common.txt", team.root / "packages.txt"
    common.write_text(f"# a comment\n\n{common.read_text()}")
    packages.write_text("tree # the same\nlibgvc6")
    (team.root / "deps/requirements-3.12.txt").write_text("another\n")
    assert label(dry(team, "--kind", kind)) == before
    common.write_text("cowsay\n")
    now = label(dry(team, "--kind", kind))
    assert {part for part in before if before[part] != now[part]} == {"files"}
    packages.write_text("tree\n")
    after = label(dry(team, "--kind", kind))
    assert {part for part in now if now[part] != after[part]} == {"arguments"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (
            "idna<2",
            8,
            r"deps/common\.txt:1: idna<2 excludes idna \S+, which "
            r"constraints/constraints-3\.11\.txt pins: require another version, or run: invoke "
            r"constraints\.generate --python 3\.11",
        ),
        (
            "apache-airflow==3.2.0",
            8,
            r"deps/common\.txt:1: apache-airflow==3\.2\.0 is not Airflow 3\.3\.2, which is "
            r"installed: airflow\.version in images\.toml selects another",
        ),
        (
            "apache-airflow[postgress]",
            2,
            r"deps/common\.txt:1: Airflow 3\.3\.2 has no extra 'postgress': did you mean post.*",
        ),
        ("-r none.txt", 2, r"deps/common\.txt:1: .*/deps/none\.txt: cannot be read: No such .*"),
        ("--pre", 2, r"deps/common\.txt:1: --pre: expected a requirement, `-r FILE` or .*"),
        (
            f"cowsay {HASH}\nidna",
            2,
            r"deps/common\.txt:2: idna has no --hash, but .*:1 requires .*",
        ),
    ],
)
def test_a_mistake_is_one_line_before_anything_starts(
    team: Bench, kind: str, line: str, code: int, message: str
) -> None:
    (team.root / "deps/common.txt").write_text(f"{line}\n")
    done = team.invoke("image.build", "--kind", kind, "--python", "3.11")
    assert done.returncode == code, done.stderr
    assert re.fullmatch(message, last(done.stderr)), done.stderr
    assert len(lines(done.stderr)) == 1
    by_nox = team.nox(f"build_{kind}-3.11")
    assert by_nox.returncode == 1
    assert last(done.stderr).partition(": ")[0] in last(by_nox.stderr)
    assert team.builds() == []


def test_a_requirement_that_the_pins_of_another_python_allow(team: Bench) -> None:
    (team.root / "deps/requirements-3.11.txt").write_text("idna<2; python_version < '3.11'\n")
    assert dry(team)


def test_extras_of_a_wheel_are_those_that_count(team: Bench) -> None:
    folder = team.root / "docker-context-files"
    folder.mkdir()
    wheel(folder / "apache_airflow-3.4.0-py3-none-any.whl", "celery", "mine")
    command = ("image.build", "--kind", "prod", "--python", "3.11", "--airflow-from", "wheels")
    done = team.invoke(*command, "--airflow-extras", "mine")
    assert done.returncode == 0, done.stderr
    done = team.invoke(*command, "--airflow-extras", "celery,postgres")
    assert done.returncode == 2
    assert last(done.stderr) == (
        "--airflow-extras: Airflow 3.4.0 has no extra 'postgres': "
        "docker-context-files/apache_airflow-3.4.0-py3-none-any.whl has all"
    )
    assert len(team.builds()) == 1


def test_requirements_where_the_official_build_has_them_are_named(team: Bench) -> None:
    folder = team.root / "docker-context-files"
    folder.mkdir()
    (folder / "requirements.txt").write_text("idna\n")
    command = ("image.build", "--kind", "prod", "--python", "3.11")
    done = team.invoke(*command)
    assert done.returncode == 2
    assert last(done.stderr) == (
        "docker-context-files/requirements.txt: would not be used: name it in images.toml: "
        '[dependencies] python = ["-r docker-context-files/requirements.txt"]'
    )
    wheel(folder / "other-1-py3-none-any.whl")
    named = ("--dependencies-python", "-r docker-context-files/requirements.txt")
    for options in (named, (*named, "--airflow-from", "wheels")):
        done = team.invoke(*command, *options)
        assert done.returncode == (0 if "wheels" in options else 2), done.stderr
    assert "other-1-py3-none-any.whl: would not be used" not in done.stderr


def test_a_credential_in_a_file_is_refused_and_kept_nowhere(team: Bench) -> None:
    canary = "hunter2canary"
    (team.root / "deps/own.txt").write_text(f"x @ https://me:{canary}@h/x.whl\n")
    done = team.invoke("image.build", "--python", "3.11", "--verbose")
    assert done.returncode == 2
    assert last(done.stderr).startswith("deps/own.txt:1: 'x @ https://me:***@h/x.whl' contains a")
    assert canary not in done.stderr + done.stdout
    cache = Path(team.environment["AIRFLOW_IMAGES_CACHE"])
    files = [file for file in cache.rglob("*") if file.is_file()]
    assert not [file for file in files if canary.encode() in file.read_bytes()]


def test_requirements_beside_the_settings_need_no_setting(team: Bench) -> None:
    settings = team.root / "images.toml"
    text = re.sub(r"(?m)^python = .*$", "", settings.read_text())
    settings.write_text(text)
    (team.root / "requirements.txt").write_text("idna\n")
    done = team.invoke("image.build", "--python", "3.11")
    assert done.returncode == 0, done.stderr
    assert "ADDITIONAL_PYTHON_DEPS=-r requirements.txt" in dry(team)
    note = "requirements.txt: its packages are installed ([dependencies] python = [] for none)"
    assert note in done.stderr.splitlines()
    rows = team.invoke("settings").stdout.splitlines()
    (row,) = (line for line in rows if line.startswith("dependencies.python"))
    assert row.split()[1:] == ["-r", "requirements.txt", "requirements.txt"]
    assert "ADDITIONAL_PYTHON_DEPS=idna" in dry(team, "--dependencies-python", "idna")


def test_options_name_files_too(team: Bench) -> None:
    options = ("--dependencies-python", "-r deps/common.txt,cowsay==6.1")
    words = dry(team, *options)
    assert "ADDITIONAL_PYTHON_DEPS=-r deps/common.txt cowsay==6.1" in words
    done = team.nox("build_ci-3.11", "--dry-run", *options)
    assert shlex.split(done.stdout) == words
