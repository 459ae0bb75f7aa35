"""What is sent to BuildKit of a folder; what git says of it is tested with the front ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks import paths
from build_tasks.errors import UsageError
from build_tasks.inputs import context
from build_tasks.inputs.context import Allowed, Prepared
from build_tasks.inputs.git_files import Listing


def prepare(root: Path) -> Prepared:
    return context.prepare(root, Allowed(everything=True), pytest.fail)


def test_names_may_be_any_text(tree: Path) -> None:
    names = ["with space", "new\nline", "tab\t", "ü", '"quoted"']
    for name in names:
        (tree / name).write_text(name)
    found = prepare(tree)
    for name in names:
        assert (found.folder / name).read_bytes() == (tree / name).read_bytes()
    assert prepare(tree) == found


def test_dockerignore_keeps_out_and_stays_for_buildkit(tree: Path) -> None:
    (tree / ".dockerignore").write_text("*\n!a/**\n**/run\n")
    found = prepare(tree)
    assert list(found.files) == ["a/one.py"]
    assert (found.folder / ".dockerignore").is_file()
    (tree / "two").write_text("of no account")
    assert prepare(tree) == found
    (tree / ".dockerignore").write_text("[\n")  # BuildKit says what is wrong
    assert "two" in prepare(tree).files


def test_immutable_folders_are_sent_themselves(tree: Path) -> None:
    own = paths.keep("constraints", {"constraints.txt": b"x==1\n"})
    found = prepare(own)
    assert found.folder == own.resolve()
    assert list(found.files) == ["constraints.txt"]


@pytest.mark.parametrize(
    ("left_out", "note"),
    [
        (["a/one.py"], "1 untracked file of {}/a/ is left out: --context-untracked 'a/**' lets it"),
        (["a/b/c", "a/d"], "2 untracked files of {}/a/ are left out: --context-untracked 'a/**' "),
        (["a/one.py", "two"], "2 untracked files of {}/ are left out: --context-untracked '**' l"),
        (["two"], "1 untracked file of {}/ is left out: --context-untracked '**' lets it in"),
        (["a b/c"], "1 untracked file of {}/a b/ is left out: --context-untracked 'a b/**' lets "),
    ],
)
def test_a_note_says_what_is_left_out_and_how_it_enters(
    tree: Path, monkeypatch: pytest.MonkeyPatch, left_out: list[str], note: str
) -> None:
    def ask_git(listing: Listing, _: Path) -> None:
        listing.files["two"] = True
        listing.left_out += left_out

    monkeypatch.setattr(Listing, "ask_git", ask_git)
    notes: list[str] = []
    assert list(context.prepare(tree, Allowed(), notes.append).files) == ["two"]
    assert len(notes) == 1
    assert notes[0].startswith(note.format(tree))


def test_where_git_fails_all_enters_with_a_warning(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Listing, "ask_git", lambda listing, _: setattr(listing, "problem", "why"))
    notes: list[str] = []
    found = context.prepare(tree, Allowed(), notes.append)
    assert list(found.files) == ["a/one.py", "a/run", "two"]
    assert notes == [f"warning: {tree}: untracked files enter: why"]


def test_a_submodule_that_is_not_fetched_is_one_line(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Listing, "ask_git", lambda listing, _: listing.unfetched.append("lib"))
    with pytest.raises(UsageError, match=f"^{tree}/lib: the submodule is not fetched: run git -C "):
        context.prepare(tree, Allowed(), pytest.fail)


def test_shipped_files_fill_in_whatever_dockerignore_says(tree: Path, tmp_path: Path) -> None:
    (tree / ".dockerignore").write_text("*\n!two\n")
    (tree / "two").touch()
    shipped = tmp_path / "package" / "pins.txt"
    shipped.parent.mkdir()
    shipped.write_text("a==1")
    found = context.prepare(
        tree, Allowed(everything=True), pytest.fail, {"constraints/pins.txt": shipped}
    )
    assert sorted(found.files) == ["constraints/pins.txt", "two"]
    assert (found.folder / "constraints/pins.txt").read_text() == "a==1"
    assert not (found.folder / ".dockerignore").exists()  # BuildKit would leave the file out
    shipped.write_text("a==2")
    changed = context.prepare(
        tree, Allowed(everything=True), pytest.fail, {"constraints/pins.txt": shipped}
    )
    assert changed.files["constraints/pins.txt"] != found.files["constraints/pins.txt"]


def test_a_shipped_dockerignore_counts(tree: Path, tmp_path: Path) -> None:
    (tree / "two").touch()
    (tree / ".dockerignore").unlink(missing_ok=True)
    shipped = tmp_path / "ignore"
    shipped.write_text("*\n!two\n")
    found = context.prepare(tree, Allowed(everything=True), pytest.fail, {".dockerignore": shipped})
    assert list(found.files) == ["two"]
    assert (found.folder / ".dockerignore").read_text() == "*\n!two\n"


def test_files_that_enter_are_those_that_dockerignore_lets_in(tree: Path) -> None:
    (tree / ".dockerignore").write_text("*\n!folder/**\n**/*.pyc\n")
    (tree / "folder").mkdir(exist_ok=True)
    (tree / "folder" / "kept.txt").touch()
    (tree / "folder" / "left.pyc").touch()
    assert "folder/kept.txt" in context.entering(tree)
    assert all(path.startswith("folder/") for path in context.entering(tree))
    assert "folder/left.pyc" not in context.entering(tree)


@pytest.mark.parametrize(
    ("known", "tracked", "entering"),
    [(True, True, []), (True, False, ["a"]), (False, True, ["a"]), (False, False, ["a"])],
)
def test_where_git_tracks_nothing_all_may_enter(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
    tracked: bool,
    entering: list[str],
) -> None:
    """A defect once found: files that git ignores were copied into an own image."""

    def ask(listing: Listing, _: Path) -> None:
        listing.known = known

    monkeypatch.setattr(Listing, "ask_git", ask)
    (tmp_path / "a").touch()
    found = context.prepare(tmp_path, Allowed(tracked=tracked), pytest.fail)
    assert [*found.files] == entering
