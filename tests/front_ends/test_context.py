"""What git says of a folder decides what is sent of it; with the real git."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from fake_docker import Bench, last

from build_tasks.errors import UsageError
from build_tasks.inputs import context
from build_tasks.inputs.context import Allowed, Prepared

BUILD = ("image.build", "--python", "3.11", "--dry-run")


def git(folder: Path, *arguments: str, umask: int = 0o022) -> str:
    author = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    command = ["/usr/bin/git", "-C", str(folder), *author, *arguments]
    return subprocess.run(command, check=True, capture_output=True, umask=umask, text=True).stdout


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def commit(root: Path, *paths: str) -> Path:
    write(root, *paths)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "x")
    return root


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", str(tmp_path / "cache"))
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / ".gitignore").write_text("*.log\nbuilt/\n")
    return commit(tmp_path / "tree", "dags/one.py", "run.sh", "top")


@pytest.fixture
def said() -> list[str]:
    return []


def prepare(root: Path, said: list[str], *untracked: str, ignored: str = "") -> Prepared:
    allowed = Allowed(untracked, (ignored,) if ignored else ())
    return context.prepare(root, allowed, said.append)


def sent(prepared: Prepared) -> set[str]:
    there = {
        str(path.relative_to(prepared.folder))
        for path in prepared.folder.rglob("*")
        if not path.is_dir()
    }
    assert there == set(prepared.files)
    return there


def test_clones_with_any_umask_send_the_same(tree: Path, tmp_path: Path, said: list[str]) -> None:
    git(tree, "update-index", "--chmod=+x", "run.sh")
    git(tree, "commit", "--quiet", "--message", "y")
    found = []
    for umask in (0o022, 0o002, 0o077):
        folder = tmp_path / f"clone{umask}"
        git(tmp_path, "clone", "--quiet", str(tree), str(folder), umask=umask)
        found.append(prepare(folder, said))
    assert found[0].files == found[1].files == found[2].files
    assert found[0].files["run.sh"].startswith("100755 ")
    assert {(one.folder / "run.sh").stat().st_mode & 0o777 for one in found} == {0o755}
    assert {(one.folder / "top").stat().st_mode & 0o777 for one in found} == {0o644}
    assert said == []


@pytest.mark.parametrize("file_mode", ["true", "false"])
def test_the_executable_bit_is_that_of_git(tree: Path, said: list[str], file_mode: str) -> None:
    git(tree, "config", "core.fileMode", file_mode)
    (tree / "top").chmod(0o755)
    git(tree, "update-index", "--chmod=+x", "run.sh")
    found = prepare(tree, said).files
    assert (found["top"][:6], found["run.sh"][:6]) == ("100644", "100755")


def test_the_work_tree_enters_as_it_is(tree: Path, said: list[str]) -> None:
    (tree / "top").write_text("edited")
    (tree / "run.sh").unlink()
    found = prepare(tree, said)
    assert sent(found) == {".gitignore", "dags/one.py", "top"}
    assert (found.folder / "top").read_text() == "edited"
    assert said == []


def test_files_behind_a_link_are_not_tracked(tree: Path, said: list[str]) -> None:
    (tree / "dags").rename(tree.parent / "elsewhere")
    (tree / "dags").symlink_to("../elsewhere")
    assert sent(prepare(tree, said)) == {".gitignore", "run.sh", "top"}
    assert said == [f"1 untracked file of {tree}/ is left out: --context-untracked '**' lets it in"]


def test_untracked_files_are_left_out_with_a_note(tree: Path, said: list[str]) -> None:
    before = prepare(tree, said)
    write(tree, "dags/a.py", "dags/sub/b.py", "dags/c.log", "built/x", ".dockerignored")
    (tree / "dags" / "line\n.py").touch()
    (tree / ".dockerignored").unlink()
    assert prepare(tree, said) == before
    (note,) = said
    assert note == (
        f"3 untracked files of {tree}/dags/ are left out: "
        "--context-untracked 'dags/**' lets them in"
    )


def test_the_noted_option_lets_untracked_files_in(tree: Path, said: list[str]) -> None:
    write(tree, "dags/a.py", "dags/sub/run", "dags/c.log")
    (tree / "dags/sub/run").chmod(0o700)
    found = prepare(tree, said, "dags/**")
    assert said == []
    assert sent(found) == {
        *(".gitignore", "dags/a.py", "dags/one.py", "dags/sub/run", "run.sh", "top")
    }
    assert found.files["dags/sub/run"].startswith("100755 ")


def test_what_git_ignores_enters_if_it_is_named(tree: Path, said: list[str]) -> None:
    write(tree, "dags/c.log", "built/ui/x.js", "built/other")
    found = prepare(tree, said, ignored="built/ui/**")
    assert "built/ui/x.js" in sent(found)
    assert not {"dags/c.log", "built/other"} & sent(found)
    assert said == []


def test_dockerignore_excludes_tracked_files_without_a_note(tree: Path, said: list[str]) -> None:
    commit(tree, ".dockerignore")
    (tree / ".dockerignore").write_text("*\n!dags\n**/no.py\n")
    write(tree, "stray", "dags/no.py")
    assert set(prepare(tree, said, "**").files) == {"dags/one.py"}
    assert said == []


def test_a_repository_inside_enters_if_it_is_a_submodule_or_let_in(
    tree: Path, tmp_path: Path, said: list[str]
) -> None:
    module = commit(tmp_path / "module", "m.py")
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add")
    git(tree, *add, str(module), "lib/module")
    write(tree, "lib/module/stray.py")
    commit(tree / "nested", "n.py")
    own = {".gitignore", ".gitmodules", "dags/one.py", "run.sh", "top", "lib/module/m.py"}
    assert sent(prepare(tree, said)) == own
    assert said == [
        f"2 untracked files of {tree}/ are left out: --context-untracked '**' lets them in"
    ]
    assert sent(prepare(tree, said, "nested")) == {*own, "nested/n.py"}


def test_a_submodule_that_is_not_fetched_is_one_line(
    tree: Path, tmp_path: Path, said: list[str]
) -> None:
    inner, outer = commit(tmp_path / "inner", "i.py"), commit(tmp_path / "outer", "o.py")
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add")
    git(outer, *add, str(inner), "deep")
    git(outer, "commit", "--quiet", "--message", "deep")
    git(tree, *add, str(outer), "lib")
    git(tree, "commit", "--quiet", "--message", "lib")
    update = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(tree), str(clone))
    for path, options in (("lib", ()), ("lib/deep", ("--recursive",))):
        with pytest.raises(UsageError) as caught:
            prepare(clone, said)
        assert str(caught.value) == (
            f"{clone}/{path}: the submodule is not fetched: run git -C {clone} submodule update "
            f"--init --recursive, or name {path} in .dockerignore"
        )
        git(clone, *update, *options)
    assert {"lib/o.py", "lib/deep/i.py"} <= sent(prepare(clone, said))
    git(clone, "submodule", "--quiet", "deinit", "--force", "lib")
    (clone / ".dockerignore").write_text("lib\n")
    assert "top" in prepare(clone, said).files
    (clone / ".dockerignore").unlink()
    (clone / "lib").rmdir()
    assert "top" in prepare(clone, said).files
    assert said == [
        f"1 untracked file of {clone}/ is left out: --context-untracked '**' lets it in"
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("empty", "it has no file (to build without, git add an empty .gitkeep)"),
        ("gone", "it does not exist"),
        ("link", "it is a link, and links are not followed"),
        (
            "untracked",
            "its files are not added to git (git add, or --context-untracked), ignored by git "
            "(--context-ignored), or excluded by .dockerignore",
        ),
    ],
)
def test_a_build_without_sources_is_one_line(
    bench: Bench, tmp_path: Path, change: str, reason: str
) -> None:
    project = bench.copy(tmp_path / "project")
    folder = project.root / "sources"
    folder.rename(tmp_path / "apart")
    if change == "empty":
        (folder / "dags").mkdir(parents=True)
    elif change == "link":
        folder.symlink_to(tmp_path / "apart")
    commit(project.root)
    if change == "untracked":
        (tmp_path / "apart").rename(folder)
    for verb in (BUILD, ("image.check", "--python", "3.11")):
        done = project.invoke(*verb)
        assert done.returncode == 2
        number = last(done.stderr).split(": ")[1]
        assert last(done.stderr) == (
            f"Dockerfile.ci: {number}: nothing of sources enters the build: {reason}"
        )
    if change == "empty":
        (folder / ".gitkeep").touch()
        git(project.root, "add", "sources")
        done = project.invoke(*BUILD)
        assert done.returncode == 0, done.stderr
    assert project.invoke(*BUILD, "--kind", "prod").returncode == 0


def test_sources_that_only_dockerignore_lets_in_or_not_are_no_traceback(
    bench: Bench, tmp_path: Path
) -> None:
    project = bench.copy(tmp_path / "project")
    (project.root / ".dockerignore").write_text("sources\n")
    done = project.invoke(*BUILD)
    assert done.returncode == 2
    assert "nothing of sources enters the build" in last(done.stderr)


def test_a_folder_inside_a_repository_is_its_own_root(tree: Path, said: list[str]) -> None:
    assert sent(prepare(tree / "dags", said)) == {"one.py"}


def test_an_archive_inside_a_repository_enters_as_a_whole(tree: Path, said: list[str]) -> None:
    write(tree, "built/airflow/pyproject.toml", "built/airflow/x.log")
    assert sent(prepare(tree / "built/airflow", said)) == {"pyproject.toml", "x.log"}
    assert said == []


def test_names_may_be_anything(tree: Path, said: list[str]) -> None:
    names = {"dags/with space", "dags/new\nline", 'dags/"q"\t', "dags/ü"}
    for name in names:
        (tree / name).touch()
    git(tree, "add", "--all")
    assert names < sent(prepare(tree, said))


@pytest.mark.parametrize("linked", [False, True])
def test_a_name_that_buildkit_refuses_is_one_line(
    tree: Path, said: list[str], linked: bool
) -> None:
    name = os.fsdecode(b"\xff")
    if linked:
        (tree / "dags/link").symlink_to(name)
    else:
        (tree / "dags" / name).touch()
    assert "dags/one.py" in sent(prepare(tree, said))  # untracked: it does not enter
    git(tree, "add", "--all")
    with pytest.raises(UsageError) as caught:
        prepare(tree, said)
    path, what = ("link", "its target") if linked else (r"\xff", "its name")
    assert str(caught.value) == (
        f"{tree}/dags/{path}: {what} is not UTF-8, which BuildKit needs: rename it, or name it in "
        ".dockerignore"
    )
    (tree / ".dockerignore").write_bytes(b"dags/\xff\r\ndags/link\r\n")
    assert "dags/one.py" in prepare(tree, said).files


def test_the_environment_of_a_hook_does_not_redirect_git(
    tree: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = commit(tmp_path / "other", "o")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert sent(prepare(tree, said)) == {".gitignore", "dags/one.py", "run.sh", "top"}


def test_without_git_untracked_files_enter_with_a_warning(
    tree: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tree, "stray")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "stray" in sent(prepare(tree, said))
    assert said == [f"warning: {tree}: untracked files enter: git is not installed"]


def test_an_unreadable_repository_is_a_warning(tree: Path, said: list[str]) -> None:
    (tree / ".git/index").write_text("x")
    assert sent(prepare(tree, said)) == {".gitignore", "dags/one.py", "run.sh", "top"}
    (note,) = said
    assert note.startswith(f"warning: {tree}: untracked files enter: ")
    assert "index" in note


def test_front_ends_send_a_snapshot_and_say_what_is_left_out(bench: Bench, tmp_path: Path) -> None:
    project = bench.copy(tmp_path / "project")
    commit(project.root)
    write(project.root, "sources/dags/stray.py", "README.txt")
    done = project.invoke(*BUILD)
    assert done.returncode == 0, done.stderr
    folder = Path(shlex.split(done.stdout)[-1])
    assert folder.name == "project"
    assert folder.is_relative_to(tmp_path / "cache" / "contexts")
    assert (folder / "sources/dags/smoke.py").is_file()
    assert not (folder / "sources/dags/stray.py").exists()
    assert (
        f"1 untracked file of {project.root}/sources/ is left out: "
        "--context-untracked 'sources/**' lets it in"
    ) in done.stderr
    done = project.nox("build_ci-3.11", "--dry-run", "--context-untracked", "sources/**")
    folder = Path(shlex.split(done.stdout)[-1])
    assert (folder / "sources/dags/stray.py").exists()
    assert "left out" not in done.stderr


def test_a_checkout_has_the_line_ends_that_images_need(bench: Bench, tmp_path: Path) -> None:
    project = bench.copy(tmp_path / "project")
    commit(project.root)
    clone = tmp_path / "clone"
    subprocess.run(
        ["/usr/bin/git", "-c", "core.autocrlf=true", "clone", "--quiet", project.root, clone],
        check=True,
    )
    for name in ("Dockerfile.ci", "constraints/constraints-3.11.txt", "sources/dags/smoke.py"):
        assert (clone / name).read_bytes() == (project.root / name).read_bytes(), name
        assert b"\r" not in (clone / name).read_bytes()


@pytest.mark.parametrize("verb", [BUILD, ("image.check", "--python", "3.11")])
def test_windows_line_ends_in_a_script_are_one_line(
    bench: Bench, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    project = bench.copy(tmp_path / "project")
    file = project.root / "Dockerfile.ci"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    done = project.invoke(*verb)
    assert done.returncode == 9
    assert re.fullmatch(
        rf"{file}: line \d+: the heredoc has Windows line endings \(CRLF\), which its script would "
        r"get: convert the file to LF \(\.gitattributes: eol=lf\)",
        last(done.stderr),
    )


@pytest.mark.parametrize(
    "name",
    [
        *("images.toml", "Dockerfile.ci", ".dockerignore"),
        *("constraints/constraints-3.11.txt", "constraints/baseline-3.11.txt"),
    ],
)
def test_a_byte_order_mark_changes_nothing(bench: Bench, tmp_path: Path, name: str) -> None:
    project = bench.copy(tmp_path / "project")
    before = project.invoke(*BUILD)
    file = project.root / name
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    done = project.invoke(*BUILD)
    assert (done.returncode, done.stderr) == (0, before.stderr)


def test_an_invalid_pattern_is_one_line(bench: Bench) -> None:
    done = bench.invoke(*BUILD, "--context-untracked", "sources/[")
    assert done.returncode == 2
    assert (
        "--context-untracked: expected a pattern like 'sources/**', got 'sources/['" in done.stderr
    )
