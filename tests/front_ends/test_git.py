"""The one way to ask git, with the real git, under hostile configuration and environments."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from fake_docker import Bench

from build_tasks.errors import CommandError
from build_tasks.inputs import context, git
from build_tasks.inputs.context import Allowed
from build_tasks.model.labels import Revision
from build_tasks.plan import airflow_checkout, revision

DATE = "2026-01-02T03:04:05+00:00"
#: Signs whatever it is given, and talks while it verifies, as gpg does.
SIGNER = """\
#!/bin/sh
case "$*" in
  *--verify*) echo "gpg: Good signature" >&2; echo "[GNUPG:] GOODSIG 0 x" ;;
  *) cat > /dev/null; printf '\\n[GNUPG:] SIG_CREATED \\n' >&2
     printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nx\\n-----END PGP SIGNATURE-----\\n' ;;
esac
"""
#: What people have in their configuration, and what would change an answer or run a program.
HOSTILE = """\
[alias]
    rev-list = !echo alias
    ls-files = !echo alias
[color]
    ui = always
[core]
    pager = false
    quotePath = true
    autocrlf = true
    fsmonitor = {program}
    hooksPath = {hooks}
[fetch]
    recurseSubmodules = true
[format]
    pretty = oneline
[init]
    templateDir = {template}
    defaultBranch = other
[log]
    date = relative
    decorate = full
    showSignature = true
[pager]
    rev-list = true
[status]
    showUntrackedFiles = no
[submodule]
    recurse = true
"""
HOOKS = ("post-checkout", "post-index-change", "reference-transaction", "fsmonitor")


def run(folder: Path, *arguments: str) -> str:
    author = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    command = ["/usr/bin/git", "-C", str(folder), *author, *arguments]
    environment = {**os.environ, "GIT_COMMITTER_DATE": DATE, "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout.strip()


def commit(folder: Path, *options: str) -> str:
    run(folder, "add", "--all")
    run(folder, "commit", "--quiet", "--message", "x", *options)
    return run(folder, "rev-parse", "HEAD")


def fill(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "apache-airflow"\nversion = "3.3"\n')
    (folder / "crlf").write_text("a\nb\n")
    return folder


def created(folder: Path, *options: str) -> Path:
    fill(folder)
    run(folder, "init", "--quiet", "--initial-branch=work", *options)
    commit(folder)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return created(tmp_path / "tree")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that changes answers, and whose programs leave the file that is returned."""
    ran = tmp_path / "ran"
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    for name in HOOKS:
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {shlex.quote(str(ran))}\n")
        (hooks / name).chmod(0o755)
    file = tmp_path / "config"
    file.write_text(HOSTILE.format(program=hooks / "fsmonitor", hooks=hooks, template=hooks.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    return ran


def current(folder: Path, said: list[str]) -> Revision:
    return revision.current(folder, said.append)


def test_a_signed_commit_is_itself_where_signatures_are_shown(
    tree: Path, tmp_path: Path, said: list[str], hostile: Path
) -> None:
    signer = tmp_path / "signer"
    signer.write_text(SIGNER)
    signer.chmod(0o755)
    run(tree, "config", "gpg.program", str(signer))
    run(tree, "config", "log.showSignature", "true")
    signed = commit(tree, "--allow-empty", "--gpg-sign")
    assert "gpgsig" in run(tree, "cat-file", "commit", "HEAD")
    assert current(tree, said) == Revision(signed, DATE)
    assert said == []


def test_no_configuration_changes_an_answer_or_runs_a_program(
    tree: Path, said: list[str], hostile: Path
) -> None:
    (tree / "ü").touch()
    (tree / "stray").touch()
    run(tree, "add", "ü")
    assert current(tree, said) == Revision(run(tree, "rev-parse", "HEAD"), DATE)
    assert revision.branch(tree) == "work"
    found = context.prepare(tree, Allowed(), said.append)
    assert set(found.files) == {"crlf", "pyproject.toml", "ü"}
    assert said == [f"1 untracked file of {tree}/ is left out: --context-untracked '**' lets it in"]
    assert not hostile.exists()


def test_a_hooks_environment_names_no_commit_and_no_branch(
    tree: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(tree, "rev-parse", "HEAD")
    other = created(tmp_path / "other")
    (other / "more").touch()
    commit(other)
    run(other, "branch", "--move", "theirs")
    monkeypatch.chdir(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    monkeypatch.setenv("GIT_PREFIX", "")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.worktree'='/nowhere'")
    plain = fill(tmp_path / "plain")
    assert current(tree, said).commit == expected
    assert revision.branch(tree) == "work"
    assert current(plain, said) == Revision()
    assert said == []


def test_a_repository_that_the_environment_names_for_this_folder_counts(
    tree: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / ".git").rename(tmp_path / "apart.git")
    (tree / "stray").touch()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "apart.git"))
    for place, variable in ((tmp_path, str(tree)), (tree, "")):
        monkeypatch.chdir(place)
        monkeypatch.setenv("GIT_WORK_TREE", variable)
        assert current(tree, said).date == DATE
        assert "stray" not in context.prepare(tree, Allowed(), lambda _: None).files
    assert said == []


@pytest.mark.parametrize("kind", ["worktree", "shallow", "bare", "detached", "partial"])
def test_any_kind_of_checkout_has_its_commit(tree: Path, said: list[str], kind: str) -> None:
    (tree / "more").touch()
    expected = commit(tree)
    folder, url = tree.parent / kind, f"file://{tree}"
    if kind == "worktree":
        run(tree, "worktree", "add", "--quiet", str(folder))
    elif kind == "detached":
        folder = tree
        run(tree, "checkout", "--quiet", "--detach")
    else:
        option = {"shallow": "--depth=1", "bare": "--bare", "partial": "--filter=tree:0"}[kind]
        run(tree, "config", "uploadpack.allowFilter", "true")
        run(tree.parent, "clone", "--quiet", option, url, str(folder))
    assert current(folder, said) == Revision(expected, DATE)
    assert said == []


def test_a_repository_with_sha_256_has_its_commit(tmp_path: Path, said: list[str]) -> None:
    tree = created(tmp_path / "tree", "--object-format=sha256")
    found = current(tree, said)
    assert (len(found.commit), found.date) == (64, DATE)


def test_a_repository_without_a_commit_has_none_and_nothing_is_said(
    tmp_path: Path, said: list[str]
) -> None:
    run(tmp_path, "init", "--quiet", "new")
    assert current(tmp_path / "new", said) == Revision()
    assert said == []


def test_an_answer_that_is_no_commit_is_told(
    tree: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "ask", lambda *_: "alias\n")
    assert current(tree, said) == Revision()
    assert said == [f"warning: {tree}: the commit is not known: git answers 'alias\\n'"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_checkout_of_another_user_is_told_with_what_to_do(tree: Path, said: list[str]) -> None:
    os.chown(tree, 12345, 12345)
    assert current(tree, said) == Revision()
    context.prepare(tree, Allowed(), said.append)
    reason = (
        f"detected dubious ownership in repository at '{tree}' (to trust it: git config --global "
        f"--add safe.directory {tree})"
    )
    assert said == [
        f"warning: {tree}: the commit is not known: {reason}",
        f"warning: {tree}: untracked files enter: {reason}",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_container_may_trust_a_checkout_through_the_environment(
    tree: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(tree, "rev-parse", "HEAD")
    os.chown(tree, 12345, 12345)
    variables = {"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": str(tree)}
    for name, value in variables.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert current(tree, said).commit == expected


def test_a_work_tree_whose_repository_is_gone_is_told(tree: Path, said: list[str]) -> None:
    folder = tree.parent / "linked"
    run(tree, "worktree", "add", "--quiet", str(folder))
    tree.rename(tree.parent / "moved")
    assert current(folder, said) == Revision()
    assert said == [
        f"warning: {folder}: the commit is not known: not a git repository: "
        f"{tree}/.git/worktrees/linked"
    ]


def test_without_git_a_commit_that_may_be_there_is_told(
    tree: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert current(tree, said) == current(fill(tmp_path / "plain"), said) == Revision()
    assert said == [
        f"warning: {tree}: the commit is not known: cannot start git: No such file or directory"
    ]
    assert revision.branch(tree) == ""


def test_a_branch_is_known_beside_a_tag_of_its_name_and_with_any_bytes(tree: Path) -> None:
    run(tree, "tag", "work")
    assert revision.branch(tree) == "work"
    subprocess.run(
        [b"/usr/bin/git", b"-C", os.fsencode(tree), b"checkout", b"-q", b"-b", b"caf\xe9"],
        check=True,
    )
    assert os.fsencode(revision.branch(tree)) == b"caf\xe9"
    run(tree, "checkout", "--quiet", "--detach")
    assert revision.branch(tree) == ""


def test_a_question_writes_nothing(tree: Path, said: list[str]) -> None:
    (tree / "crlf").touch()  # git would refresh its index
    before = (tree / ".git/index").stat().st_mtime_ns
    context.prepare(tree, Allowed(), said.append)
    current(tree, said)
    assert (tree / ".git/index").stat().st_mtime_ns == before


def fetched(address: str, said: list[str]) -> Path:
    return airflow_checkout.find(f"git+{address}", "here", said.append)[0]


def test_the_address_of_a_repository_may_be_any_bytes(tree: Path, said: list[str]) -> None:
    """Regression: the address could not be hashed."""
    odd = tree.rename(tree.with_name(os.fsdecode(b"caf\xe9")))
    assert (fetched(f"file://{odd}@work", said) / "crlf").is_file()


def test_a_fetch_runs_no_program_and_has_the_repositorys_bytes(
    tree: Path, said: list[str], hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    folder = fetched(f"file://{tree}@work", said)
    assert (folder / "crlf").read_bytes() == b"a\nb\n"
    assert not hostile.exists()


def test_a_fetch_follows_the_users_addresses(
    tree: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tree.parent / "config"
    config.write_text(f'[url "file://{tree.parent}/"]\n    insteadOf = https://host.invalid/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert (fetched("https://host.invalid/tree@work", said) / "crlf").is_file()
    monkeypatch.setenv("GIT_SSH_COMMAND", "sh -c 'for last; do :; done; eval \"$last\"'")
    assert (fetched(f"ssh://me@host.invalid{tree}@work", said) / "crlf").is_file()


def test_a_repository_with_sha_256_is_fetched(tmp_path: Path, said: list[str]) -> None:
    tree = created(tmp_path / "tree", "--object-format=sha256")
    for _ in range(2):
        folder = fetched(f"file://{tree}@work", said)
        assert folder.name == run(tree, "rev-parse", "HEAD")


def test_submodules_that_a_fetch_leaves_out_are_named(tree: Path, said: list[str]) -> None:
    module = created(tree.parent / "module")
    run(tree, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(module), "m")
    commit(tree)
    for _ in range(2):
        fetched(f"file://{tree}@work", said)
    assert said[1::2] == [f"warning: file://{tree}@work: submodules are not fetched: m"] * 2


def test_a_fetched_tree_that_cannot_be_written_is_one_line(
    tree: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / ".gitattributes").write_text("crlf filter=broken\n")
    commit(tree)
    config = tree.parent / "config"
    config.write_text('[filter "broken"]\n    smudge = false\n    required = true\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    with pytest.raises(CommandError, match=r"^here: file://.*/tree@work: .*filter"):
        fetched(f"file://{tree}@work", said)


def test_images_name_the_commit_in_a_hook_where_signatures_are_shown(
    bench: Bench, tmp_path: Path, hostile: Path
) -> None:
    project = bench.copy(tmp_path / "project")
    run(project.root, "init", "--quiet")
    expected = commit(project.root)
    other = created(tmp_path / "other")
    done = project.invoke(
        *("image.build", "--kind", "ci", "--python", "3.11", "--dry-run"),
        GIT_CONFIG_GLOBAL=os.environ["GIT_CONFIG_GLOBAL"],
        GIT_DIR=str(other / ".git"),
        GIT_INDEX_FILE=str(other / ".git" / "index"),
    )
    assert done.returncode == 0, done.stderr
    assert f"org.opencontainers.image.revision={expected}" in shlex.split(done.stdout)
    assert not hostile.exists()
