"""Clones, umasks, times and stray files: what decides a cache hit on the real BuildKit."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from suite import Suite, steps

from build_tasks.engine.state import EmbeddedEngine
from build_tasks.errors import UsageError
from build_tasks.inputs import context, dockerignore
from build_tasks.inputs.context import Allowed, Prepared

FILE = """\
FROM scratch AS folder
FROM scratch AS main
COPY --from=folder / /folder/
"""
# What .dockerignore says, as a table: hard cases of the grammar first.
RULES = """\
# a comment
*
!kept
!/rooted/**
  !spaced.txt
!**/deep.py
!x[a-c]?.txt
kept/no
kept/*.pyc
**/gone
!kept/no/but
kept/a**z
!**.suffix
!many/a*b*c*d
!folders/**/x/**/y/**/z
!weird/a**b**c
!class/[^a][x\\-y][a-c]
!**/*.q*r*
"""
PATHS = (
    *(
        "plain",
        "kept/yes",
        "kept/no/x",
        "kept/no/but",
        "kept/m.pyc",
        "kept/sub/m.pyc",
        "rooted/a/b",
    ),
    *("sub/rooted/a", "spaced.txt", "deep.py", "a/b/deep.py", "xb1.txt", "xd1.txt", "kept/gone"),
    *("kept/a/gone/x", "# a comment", "kept/abz", "kept/a/b/z", "kept/az", "a/kept/yes"),
    *("x.suffix", "a/b.suffix", ".suffix", "y.suffix/in", "x.suffixes"),
    *("many/abcd", "many/axbxcxd", "many/abxd", "many/ab/cd", "many/azbcd/in", "many/abcdcd"),
    *("folders/x/y/z", "folders/1/x/2/3/y/z", "folders/x/y/xz", "folders/x/z", "folders/1/x/y/z/w"),
    *("weird/abc", "weird/abbc", "weird/a/b/c", "weird/a1/bc", "weird/axb/c", "weird/a/x/bxc"),
    *("class/bxa", "class/b-c", "class/axa", "class/bza", "class/bxd"),
    *("one.qr", "in/two.q.r.s", "in/three.r", "four.q/r"),
)


def git(folder: Path, *arguments: str, umask: int = 0o022) -> None:
    author = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    command = ["/usr/bin/git", "-C", str(folder), *author, *arguments]
    subprocess.run(command, check=True, capture_output=True, umask=umask)


@pytest.fixture
def clones(project: Suite, tmp_path: Path) -> tuple[Path, Path]:
    """The same commit in two clones, one made with umask 0022, one with 0002, and then in use."""
    git(project.root, "init", "--quiet")
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "x")
    made = (tmp_path / "one", tmp_path / "two")
    for folder, umask in zip(made, (0o022, 0o002), strict=True):
        git(tmp_path, "clone", "--quiet", str(project.root), str(folder), umask=umask)
    assert (made[1] / "sources/dags/smoke.py").stat().st_mode & 0o777 == 0o664
    os.utime(made[1] / "sources/dags/smoke.py", (1e9, 1e9))
    (made[1] / "sources/dags/stray.py").write_text("raise SystemExit\n")
    return made


def test_another_umask_time_and_a_stray_file_run_no_step(
    suite: Suite, clones: tuple[Path, Path]
) -> None:
    small = suite.having(AIRFLOW_IMAGES_AIRFLOW_EXTRAS="", AIRFLOW_IMAGES_CI_TEST_PACKAGES="pytest")
    build = ("image.build", "--python", "3.11", "--progress", "rawjson")
    small.at(clones[0]).good(*build)
    done = small.at(clones[1]).good(*build)
    seen = steps(done.stderr)
    assert len(seen) >= 9
    assert [step.name for step in seen if not step.cached] == []
    assert (
        f"1 untracked file of {clones[1]}/sources/ is left out: "
        "--context-untracked 'sources/**' lets it in"
    ) in done.stderr
    allowed = small.at(clones[1]).good(*build, "--context-untracked", "sources/**")
    ran = [step.name for step in steps(allowed.stderr) if not step.cached]
    assert "COPY --chown=50000:0 sources/ /opt/airflow/" in ran
    assert [name for name in ran if "COPY" not in name] == []
    assert "left out" not in allowed.stderr


class Builder:
    """BuildKit itself, with a Dockerfile that copies a named folder."""

    def __init__(self, engine: EmbeddedEngine, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        self._numbers: Iterator[int] = itertools.count()
        (folder / "Dockerfile").write_text(FILE)

    def build(self, sent: Path) -> tuple[bool, Path]:
        """Return whether the copy was cached, and a folder with what came of it."""
        out = self._folder / f"out{next(self._numbers)}"
        done = subprocess.run(
            [
                *(self._engine.buildx, "build", "--progress", "rawjson"),
                *("--build-context", f"folder={sent}", "--output", f"type=local,dest={out}"),
                self._folder,
            ],
            env={**os.environ, **self._engine.environment},
            capture_output=True,
            text=True,
            check=True,
        )
        (step,) = steps(done.stderr)
        return step.cached, out / "folder"


@pytest.fixture
def builder(engine: EmbeddedEngine, tmp_path: Path) -> Builder:
    (tmp_path / "builder").mkdir()
    return Builder(engine, tmp_path / "builder")


def prepare(root: Path, *untracked: str) -> Prepared:
    return context.prepare(root, Allowed(untracked), print)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: EmbeddedEngine) -> None:
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", str(tmp_path / "cache"))


def test_a_folder_of_sources_in_two_clones_is_one_to_the_cache(
    clones: tuple[Path, Path], builder: Builder
) -> None:
    one, two = (prepare(folder) for folder in clones)
    assert one.files == two.files
    assert builder.build(one.folder)[0] is False
    assert builder.build(two.folder)[0] is True


def test_an_edit_that_keeps_size_and_time_arrives(tmp_path: Path, builder: Builder) -> None:
    """BuildKit itself asks for no file whose size and time stay: it would copy the old one."""
    file = tmp_path / "tree" / "a.py"
    file.parent.mkdir()
    file.write_text("old")
    os.utime(file, (1e9, 1e9))
    builder.build(prepare(file.parent).folder)
    file.write_text("new")
    os.utime(file, (1e9, 1e9))
    cached, out = builder.build(prepare(file.parent).folder)
    assert not cached
    assert (out / "a.py").read_text() == "new"


def test_buildkit_refuses_names_that_are_not_utf_8(tmp_path: Path, builder: Builder) -> None:
    """Or it would have to be sent."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / os.fsdecode(b"\xff")).touch()
    with pytest.raises(subprocess.CalledProcessError) as caught:
        builder.build(tree)
    assert "invalid UTF-8" in caught.value.stderr
    with pytest.raises(UsageError, match="its name is not UTF-8"):
        prepare(tree)


def test_a_folder_whose_name_is_not_utf_8_is_sent(tmp_path: Path, builder: Builder) -> None:
    tree = tmp_path / os.fsdecode(b"tree\xff")
    tree.mkdir()
    (tree / "a").touch()
    _, out = builder.build(prepare(tree).folder)
    assert (out / "a").is_file()


def test_patterns_match_as_in_buildkit_on_the_engine(tmp_path: Path, builder: Builder) -> None:
    tree = tmp_path / "tree"
    for path in PATHS:
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tree / ".dockerignore").write_text(RULES)
    _, out = builder.build(tree)
    came = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    patterns = dockerignore.parse(RULES.splitlines())
    assert came == {path for path in PATHS if not patterns.match(path)}
    assert set(prepare(tree).files) == came
