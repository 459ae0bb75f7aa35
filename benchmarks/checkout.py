"""A copy of the project, to be changed and built from."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from build_tasks import process
from build_tasks.engine.state import EmbeddedEngine

ROOT = Path(__file__).resolve().parents[1]
_COPIED = ("*.py", "*.toml", "Dockerfile*", ".dockerignore", "README.md", "LICENSE")
_FOLDERS = ("build_tasks", "constraints", "sources")


def make(folder: Path, engine: EmbeddedEngine) -> Path:
    """Return a copy of the project, with a commit as every checkout has one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for pattern in _COPIED:
        for path in ROOT.glob(pattern):
            shutil.copy2(path, folder)
    for name in _FOLDERS:
        shutil.copytree(ROOT / name, folder / name)
    bundle = folder / "ca-bundle.crt"
    bundle.write_bytes(engine.ca_bundle.read_bytes() if engine.ca_bundle else b"")
    with (folder / ".dockerignore").open("a", encoding="utf-8") as ignored:
        ignored.write("!ca-bundle.crt\n")
    author = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for command in (
        ("init", "--quiet", "--initial-branch", "main"),
        ("add", "."),
        ("commit", "--quiet", "--message", "bench"),
    ):
        process.run(("git", "-C", str(folder), *author, *command))
    process.run((sys.executable, "-m", "compileall", "-q", str(folder)), check=False)
    return folder


@contextlib.contextmanager
def changed(files: Mapping[Path, str]) -> Iterator[None]:
    """Give files another text, until the block ends."""
    before = {path: path.read_text(encoding="utf-8") for path in files}
    _write(files)
    try:
        yield
    finally:
        _write(before)


def _write(files: Mapping[Path, str]) -> None:
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
