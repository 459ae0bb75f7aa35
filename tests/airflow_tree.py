"""A checkout of Airflow, made of source distributions: `python tests/airflow_tree.py FOLDER`.

The core's has no tests; those of the task SDK and of providers do. What tests them all is only on
PyPI as `apache-airflow-devel-common` of May 2025, so the tests of that time pass: of the task SDK
and providers of later releases, most modules cannot import what they need of it.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import urldefrag, urljoin

INDEX = "https://pypi.org/simple/"
#: Seconds to try again for, where an index does not answer, and between two times.
PATIENCE, PAUSE = 90.0, 3.0


@dataclass(frozen=True)
class Release:
    """Source distributions that belong together.

    Args:
        sdists: for each folder of the repository, the name of the file and its SHA-256.
        until: the time after which nothing that they need was uploaded, for `uv --exclude-newer`.
        needs: what their tests need and no group of theirs names.
    """

    sdists: Mapping[str, tuple[str, str]]
    until: str = ""
    needs: tuple[str, ...] = ()


_DEVEL_COMMON = (
    "apache_airflow_devel_common-0.1.1.tar.gz",
    "b066b2d3fdf940b4c2859af23036a7ef31f8e81694209b1ab0e056530e286232",
)
RELEASES = {
    "3.0.1": Release(
        {
            ".": (
                "apache_airflow-3.0.1.tar.gz",
                "cd1ea4a780424e3a2c8d601d1372227cfeddf93b6edcb4d43a6f3f290aca8015",
            ),
            "airflow-core": (
                "apache_airflow_core-3.0.1.tar.gz",
                "309675bf1b792fbe7ae9653efd257dd50a7cf137089153cdc9362cf72aea0679",
            ),
            "task-sdk": (
                "apache_airflow_task_sdk-1.0.1.tar.gz",
                "9869912e23eadf601f8f561316e3b532e487181dc9a20c03abe44ae166688164",
            ),
            "devel-common": _DEVEL_COMMON,
            "providers/common/compat": (
                "apache_airflow_providers_common_compat-1.7.0.tar.gz",
                "b7eddd9acb39e42641916ab570252c9a30ae23fe4b78c128639afdcae8df6eca",
            ),
            "providers/common/sql": (
                "apache_airflow_providers_common_sql-1.27.1.tar.gz",
                "72b25267c8b2969ba676b12bf74c49372150bc1b4ffef5e4093dd7ecc10311b7",
            ),
            "providers/postgres": (
                "apache_airflow_providers_postgres-6.2.0.tar.gz",
                "dc9604cdd2dae29f0c0e65eecde9a36f198c67b7790ec8e469632a83e22a72f0",
            ),
            "providers/sqlite": (
                "apache_airflow_providers_sqlite-4.1.0.tar.gz",
                "433e294df80cfd4afa4346dfe83b6f0638107592fcb0d933202958d31dd72a4e",
            ),
            "providers/standard": (
                "apache_airflow_providers_standard-1.2.0.tar.gz",
                "e8e8ea81dc7e346e0a686a1f3be9bf51f82fa5a901c2ba0082465120bb6b9495",
            ),
        },
        until="2025-05-20T00:00:00Z",
        needs=("babel", "pyarrow", "rfc3339-validator"),
    ),
    "3.3.2": Release(
        {
            ".": (
                "apache_airflow-3.3.2.tar.gz",
                "cdbe0dcd47ff2e9ab267fcc050bc6e4fa6e40fb86bf3671e05d9672206da59bb",
            ),
            "airflow-core": (
                "apache_airflow_core-3.3.2.tar.gz",
                "53f38e7749a2689a1d67c6e661284ecddaa687c1f7f3cae2d76b2eca7758210f",
            ),
            "task-sdk": (
                "apache_airflow_task_sdk-1.3.2.tar.gz",
                "d9a1c7785684a215df3927b028a44b2b6927dacebd54c0d281b5906febc3efef",
            ),
            "devel-common": _DEVEL_COMMON,
            "providers/common/compat": (
                "apache_airflow_providers_common_compat-1.23.0.tar.gz",
                "366182c246a989fcd18d9a85f16343005adc61b70493b31b545bb80ffced60da",
            ),
            "providers/common/sql": (
                "apache_airflow_providers_common_sql-2.4.0.tar.gz",
                "363f89dab28bdb00e9090a50476a71795b8237adb0b1768c9490b805b1868e0d",
            ),
            "providers/postgres": (
                "apache_airflow_providers_postgres-7.1.1.tar.gz",
                "ebea35773fdfd97fa404632b3c35ceb846082a6d94ffdf710fcd448b41a58990",
            ),
            "providers/sqlite": (
                "apache_airflow_providers_sqlite-4.3.4.tar.gz",
                "fd0a10b80431d545fd4f7073744e03aaaf3ebda88dbb6eb4b40f21137c0e6e24",
            ),
            "providers/standard": (
                "apache_airflow_providers_standard-1.21.0.tar.gz",
                "4345d66cc4b02fdf984218d318f40361ed12116bb13575169c444c64bd04ea4b",
            ),
        },
        needs=("babel", "pyarrow", "rfc3339-validator"),
    ),
}
#: It is one distribution, without tests.
AIRFLOW_2 = Release(
    {
        ".": (
            "apache_airflow-2.11.0.tar.gz",
            "252ae1a2f3d75547bb35907ac6abe6a105d02eaab265434ca587b5757940ce08",
        ),
    },
)
#: Where they pass: 1,154 tests of the task SDK alone.
TESTED = RELEASES["3.0.1"]


def make(folder: Path, cache: Path, release: Release = TESTED, index: str = "") -> Path:
    """Lay a release out in a folder as the repository has it, and return the folder.

    Args:
        folder: a new folder.
        cache: where the source distributions stay, so that the next run needs no network.
        release: which ones.
        index: the URL of a package index; by default uv's, pip's or PyPI.
    """
    names = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
    index = index or next(filter(None, map(os.environ.get, names)), INDEX)
    for place, (name, digest) in release.sdists.items():
        _unpack(fetched(name, digest, cache, index.rstrip("/") + "/"), folder / place)
    _generate(folder)
    return folder


def fetched(name: str, digest: str, cache: Path, index: str) -> Path:
    """Return a source distribution from the cache folder, where it is fetched to if it is not."""
    file = cache / name
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
        page = f"{index}{name.rpartition('-')[0].replace('_', '-')}/"
        links = _Links(page)
        links.feed(patiently(lambda: _read(page)).decode())
        content = patiently(lambda: _read(links.found[name]))
        found = hashlib.sha256(content).hexdigest()
        assert found == digest, f"{links.found[name]} has the SHA-256 {found}"
        cache.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_bytes(content)
        part.replace(file)
    return file


def patiently(read: Callable[[], bytes]) -> bytes:
    """Return what is read, once more after a while where a server is away or has a fault."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return read()
        except (OSError, http.client.HTTPException) as error:
            status = error.code if isinstance(error, urllib.error.HTTPError) else 503
            final = status < 500 and status != http.HTTPStatus.TOO_MANY_REQUESTS
            if final or time.monotonic() > end:
                raise
            time.sleep(PAUSE)


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - of the index alone
        content: bytes = answer.read()
        return content


class _Links(HTMLParser):
    """The files of a project's page in an index: the URL of each by its name (PEP 503)."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page
        self.found: dict[str, str] = {}

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        if target := dict(attrs).get("href"):
            url = urldefrag(urljoin(self.page, target)).url
            self.found[url.rpartition("/")[2]] = url


def _unpack(sdist: Path, folder: Path) -> None:
    """Write the files of a source distribution, but for what only an archive has."""
    with tarfile.open(sdist) as tar:
        for member in tar:
            path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            content = tar.extractfile(member)
            if content and str(path) != "PKG-INFO":
                assert ".." not in path.parts, member.name
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.read())
                file.chmod(0o755 if member.mode & 0o100 else 0o644)


def _generate(folder: Path) -> None:
    """Write what a hook of the repository generates, and the plugin for pytest asks it for.

    The plugin compares a hash over the files of the providers, each of which it takes twice.
    """
    digest = hashlib.sha256()
    for file in sorted([*(folder / "providers").rglob("provider.yaml")] * 2):
        digest.update(file.read_bytes())
    generated = folder / "generated"
    generated.mkdir(exist_ok=True)
    dependencies = generated / "provider_dependencies.json"
    if not dependencies.exists():  # Airflow 2 has it, and its build reads it
        dependencies.write_text("{}\n")
    (generated / "provider_dependencies.json.sha256sum").write_text(f"{digest.hexdigest()}\n")


if __name__ == "__main__":
    from build_tasks import paths

    wanted = RELEASES[sys.argv[2]] if sys.argv[2:] else TESTED
    print(make(Path(sys.argv[1]), paths.cache_folder() / "tests/sdists", wanted))
