"""The bytecode of the PROD image, as its Dockerfile makes it, on folders of this machine."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Real code to compile: these distributions are those of the tests themselves.
PACKAGES = ("iniconfig", "packaging", "pytest")
#: The second word of bytecode (PEP 552): it has a hash, which Python does not check.
UNCHECKED = 1
Compile = Callable[..., dict[str, bytes]]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with real packages."""
    folder = tmp_path / "opt" / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (library,) = folder.glob("lib/python3*/site-packages")
    for name in PACKAGES:
        package = distribution(name)
        for file in package.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                target = library / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(Path(str(package.locate_file(file))).read_bytes())
    return library


@pytest.fixture
def compiled(tmp_path: Path, environment: Path) -> Compile:
    """Compile the environment; return the bytecode by layer and path."""
    assert environment.is_dir()
    text = (ROOT / "Dockerfile").read_text()
    script = re.search(r"\n(umask 0002\nmkdir /tmp/bytecode .*?)\nEOF\n", text, re.DOTALL)
    assert script

    def run(result: str, cache: str = "cache", bytecode: str = "all") -> dict[str, bytes]:
        folder = tmp_path / result
        step = script[1].replace("/tmp/bytecode", str(folder))
        step = step.replace("/var/cache/bytecode", str(tmp_path / cache))
        step = step.replace("/tmp/compile.py", str(tmp_path / "compile.py"))
        step = step.replace('"/opt"', json.dumps(str(tmp_path / "opt")))
        step = step.replace('"${AIRFLOW_UID}:0"', '"${AIRFLOW_UID}"')  # only root may name group 0
        programs = f"{tmp_path / 'opt/venv/bin'}:{os.defpath}"
        subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", step],
            env={"PATH": programs, "AIRFLOW_BYTECODE": bytecode, "AIRFLOW_UID": str(os.getuid())},
            check=True,
            capture_output=True,
            timeout=300,
        )
        assert sorted(one.name for one in folder.iterdir()) == [str(n) for n in range(8)]
        return {
            str(file.relative_to(folder)): file.read_bytes()
            for file in folder.rglob("*")
            if file.is_file()
        }

    return run


def test_two_compilations_are_equal_byte_for_byte(compiled: Compile, environment: Path) -> None:
    first = compiled("one")
    assert first == compiled("two", cache="another")
    assert first == compiled("three"), "with the cache mount of the first one"
    modules = {file.relative_to(environment) for file in environment.rglob("*.py")}
    assert len(first) == len(modules) > 50
    assert {struct.unpack("<4xI", code[:8]) for code in first.values()} == {(UNCHECKED,)}


def test_another_version_of_a_package_moves_one_layer(compiled: Compile, environment: Path) -> None:
    before = compiled("before")
    module = environment / "packaging" / "version.py"
    module.write_text(f"{module.read_text()}\nADDED = 1\n")
    after = compiled("after")
    assert before.keys() == after.keys()
    (changed,) = [name for name in after if before[name] != after[name]]
    assert re.fullmatch(r"\d/venv/lib/.*/packaging/__pycache__/version\.cpython-\d+\.pyc", changed)
    layers = {name.partition("/")[0] for name in after if "/packaging/" in name}
    assert len(layers) == 1


def test_python_uses_the_bytecode(compiled: Compile, tmp_path: Path, environment: Path) -> None:
    """Unlike bytecode with a time, it counts whatever the times of the files are."""
    for name, code in compiled("result").items():
        file = tmp_path / "opt" / name.partition("/")[2]
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(code)
    module = environment / "packaging" / "version.py"
    os.utime(module, (0, 0))
    done = subprocess.run(
        [tmp_path / "opt/venv/bin/python", "-vB", "-c", "import packaging.version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"# code object from '\S+/version\.cpython-\d+\.pyc'", done.stderr)


def test_a_module_that_does_not_compile_is_left_out(compiled: Compile, environment: Path) -> None:
    (environment / "packaging" / "version.py").write_text("print 'no Python'\n")
    names = compiled("result")
    assert not [name for name in names if "/packaging/__pycache__/version." in name]
    assert [name for name in names if "/packaging/__pycache__/specifiers." in name]


def test_by_setting_it_is_that_of_what_airflow_requires(
    compiled: Compile, environment: Path
) -> None:
    """Airflow here requires pytest, which requires others, and an extra of it the rest."""
    metadata = environment / "apache_airflow_core-3.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(
        "Metadata-Version: 2.1\nName: apache-airflow-core\nVersion: 3\n"
        "Requires-Dist: Pytest>=8\nRequires-Dist: lonely; extra == 'x'\n"
    )
    for name in ("lonely", "elsewhere"):
        (environment / f"{name}.py").write_text("ONE = 1\n")
        (environment / f"{name}-1.dist-info").mkdir()
        for file, text in (
            ("METADATA", f"Name: {name}\nVersion: 1\n"),
            ("RECORD", f"{name}.py,,\n"),
        ):
            (environment / f"{name}-1.dist-info" / file).write_text(text)
    some, everything = compiled("some", bytecode="airflow"), compiled("all", bytecode="all")
    assert any("/_pytest/" in name for name in some)
    assert any("/iniconfig/" in name for name in some), "pytest requires it"
    left = {name.rpartition("/")[2].partition(".")[0] for name in everything.keys() - some.keys()}
    assert left == {"lonely", "elsewhere"}


@pytest.mark.parametrize("value", ["standard-library", "none"])
def test_by_setting_there_is_none(compiled: Compile, value: str) -> None:
    assert compiled("result", bytecode=value) == {}
