"""Where the Dockerfiles find the Python of a base image, on folders of this machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: The folders that are searched besides those on PATH.
OUTSIDE = ("opt/python/bin", "usr/python/bin", "usr/local/bin", "usr/bin")
Find = Callable[..., subprocess.CompletedProcess[str]]


def put(root: Path, name: str, version: str, *, modules: bool = True) -> Path:
    """Write a program that answers like a Python of a version, with or without pip and venv."""
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *version_info*) echo {version} ;; *) exit {0 if modules else 1} ;; esac\n'
    )
    file.chmod(0o755)
    return file


@pytest.fixture(params=["Dockerfile", "Dockerfile.ci"])
def find(request: pytest.FixtureRequest, tmp_path: Path) -> Find:
    """Return a function that runs the step below a folder, with folders on its PATH."""
    text = (ROOT / request.param).read_text()
    step = re.search(r"RUN <<EOF\n(# find the Python.*?)\nEOF\n", text, re.DOTALL)
    assert step
    script = step[1]
    for folder in OUTSIDE:
        assert f" /{folder}" in script
        script = script.replace(f" /{folder}", f" {tmp_path}/{folder}")
    (tmp_path / "usr/local/bin").mkdir(parents=True)

    def run(*path: str) -> subprocess.CompletedProcess[str]:
        # Programs of this machine come from a folder without a Python.
        tools = tmp_path / "tools"
        tools.mkdir()
        (tools / "readlink").symlink_to("/usr/bin/readlink")
        (tools / "ln").symlink_to("/usr/bin/ln")
        folders = [*(str(tmp_path / folder) for folder in path), str(tools)]
        return subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            env={"PATH": ":".join(folders), "AIRFLOW_PYTHON_VERSION": "3.11"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def found(root: Path) -> Path:
    return (root / "usr/local/bin/base-python").readlink()


@pytest.mark.parametrize("folder", OUTSIDE)
def test_a_python_is_found_where_path_does_not_lead(
    find: Find, tmp_path: Path, folder: str
) -> None:
    python = put(tmp_path, f"{folder}/python3.11", "3.11")
    assert find("bin").returncode == 0
    assert found(tmp_path) == python


def test_path_comes_first_and_links_are_followed(find: Find, tmp_path: Path) -> None:
    """Both stages have the program, but the environment must not depend on a link in one."""
    python = put(tmp_path, "store/python-3.11.9/bin/python3.11", "3.11")
    put(tmp_path, "usr/bin/python3.11", "3.11")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(python)
    assert find("bin").returncode == 0
    assert found(tmp_path) == python


def test_another_version_that_comes_first_is_passed_over(find: Find, tmp_path: Path) -> None:
    put(tmp_path, "usr/bin/python3", "3.13")
    python = put(tmp_path, "opt/python/bin/python3", "3.11")
    assert find("usr/bin").returncode == 0
    assert found(tmp_path) == python


def test_the_error_names_each_python_once(find: Find, tmp_path: Path) -> None:
    other = put(tmp_path, "usr/bin/python3", "3.13")
    bare = put(tmp_path, "opt/python/bin/python3.11", "3.11", modules=False)
    (tmp_path / "bin").symlink_to("usr/bin")
    completed = find("usr/bin", "bin")
    assert completed.returncode == 1
    assert completed.stderr == (
        f"the base image has no Python 3.11; {other} is Python 3.13; {bare} has neither pip nor "
        "ensurepip (Debian's python3-venv): name another one with --base-image\n"
    )


def test_no_python_is_one_line(find: Find) -> None:
    completed = find("bin")
    assert completed.returncode == 1
    assert completed.stderr == (
        "the base image has no Python 3.11: name another one with --base-image\n"
    )
