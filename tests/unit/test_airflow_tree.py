"""The checkout of Airflow that tests make of source distributions, here of their own index."""

from __future__ import annotations

import functools
import hashlib
import io
import stat
import tarfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import airflow_tree
import pytest
from airflow_tree import RELEASES, Release


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; the first requests fail, as those to a mirror that restarts.

    A fault is a status; with 200, half of the answer comes.
    """

    faults: ClassVar[list[int]] = []

    def do_GET(self) -> None:
        if self.faults[-1:] == [200]:
            self.send_response(self.faults.pop())
            self.send_header("Content-Length", "9")
            self.end_headers()
            self.wfile.write(b"half")
        elif self.faults:
            self.send_error(self.faults.pop())
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    return folder


@pytest.fixture
def index(packages: Path) -> Iterator[str]:
    """The URL of an index of the folder, whose pages have links with hashes."""
    handler = functools.partial(Handler, directory=str(packages))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()
        thread.join()


def sdist(packages: Path, stem: str, **files: str) -> tuple[str, str]:
    """Add a source distribution to an index; return its name and hash."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for path, text in {"PKG-INFO": "", **files}.items():
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(text)
            member.mode = 0o775 if text.startswith("#!") else 0o664
            tar.addfile(member, io.BytesIO(text.encode()))
    name = f"{stem}.tar.gz"
    (packages / name).write_bytes(content.getvalue())
    page = packages / "simple" / stem.rpartition("-")[0].replace("_", "-") / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f'<html><a>none</a><a href="../../{name}#sha256=0">{name}</a></html>')
    return name, hashlib.sha256(content.getvalue()).hexdigest()


@pytest.fixture
def release(packages: Path) -> Release:
    provider = {"provider.yaml": "name: sqlite\n", "src/airflow/x.py": "", "run": "#!/bin/sh\n"}
    return Release(
        {
            ".": sdist(packages, "apache_airflow-3.0.1", **{"pyproject.toml": "[project]\n"}),
            "providers/sqlite": sdist(packages, "apache_airflow_providers_sqlite-4", **provider),
        }
    )


def test_distributions_are_laid_out_as_in_the_repository(
    tmp_path: Path, release: Release, index: str
) -> None:
    tree = airflow_tree.make(tmp_path / "tree", tmp_path / "cache", release, index)
    files = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    assert files == [
        "generated/provider_dependencies.json",
        "generated/provider_dependencies.json.sha256sum",
        "providers/sqlite/provider.yaml",
        "providers/sqlite/run",
        "providers/sqlite/src/airflow/x.py",
        "pyproject.toml",
    ]
    modes = [stat.S_IMODE((tree / path).stat().st_mode) for path in files[2:4]]
    assert modes == [0o644, 0o755]
    twice = hashlib.sha256(b"name: sqlite\n" * 2).hexdigest()
    assert (tree / files[1]).read_text() == f"{twice}\n"


def test_a_second_run_needs_no_index(tmp_path: Path, release: Release, index: str) -> None:
    airflow_tree.make(tmp_path / "one", tmp_path / "cache", release, index)
    nowhere = "http://127.0.0.1:9/simple"
    again = airflow_tree.make(tmp_path / "two", tmp_path / "cache", release, nowhere)
    assert (again / "pyproject.toml").is_file()


def test_a_damaged_file_is_fetched_again(tmp_path: Path, release: Release, index: str) -> None:
    cache = tmp_path / "cache"
    name, digest = release.sdists["."]
    cache.mkdir()
    (cache / name).write_bytes(b"half")
    file = airflow_tree.fetched(name, digest, cache, index)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    assert list(cache.iterdir()) == [file]


def test_another_file_of_that_name_is_refused(tmp_path: Path, release: Release, index: str) -> None:
    name, _ = release.sdists["."]
    with pytest.raises(AssertionError, match="has the SHA-256"):
        airflow_tree.fetched(name, "0" * 64, tmp_path / "cache", index)
    assert not (tmp_path / "cache").exists()


def test_an_index_with_a_fault_is_asked_again(
    tmp_path: Path, release: Release, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow_tree, "PAUSE", 0.01)
    monkeypatch.setattr(Handler, "faults", [503, 502, 429, 200])
    assert airflow_tree.make(tmp_path / "tree", tmp_path / "cache", release, index).is_dir()
    monkeypatch.setattr(Handler, "faults", [404])
    with pytest.raises(OSError, match="404"):
        airflow_tree.fetched("x-1.tar.gz", "", tmp_path / "cache", index)
    monkeypatch.setattr(Handler, "faults", [503] * 9)
    monkeypatch.setattr(airflow_tree, "PATIENCE", 0.0)
    with pytest.raises(OSError, match="503"):
        airflow_tree.fetched("x-1.tar.gz", "", tmp_path / "cache", index)


@pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
def test_each_release_has_the_core_the_task_sdk_and_five_providers(release: Release) -> None:
    assert len([place for place in release.sdists if place.startswith("providers/")]) == 5
    assert {".", "airflow-core", "task-sdk", "devel-common"} < set(release.sdists)
