"""Where a saved image comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from github_api import TOKEN, GitHub, serving, zipped

from build_tasks.errors import ImagesError, UsageError
from build_tasks.verify import source

ARCHIVE = bytes(range(256)) * 1000
FILE = zstandard.ZstdCompressor(write_checksum=True).compress(ARCHIVE)


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    with serving() as github:
        monkeypatch.setenv("GITHUB_API_URL", github.api)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
        github.files["f"] = FILE
        github.add("image", zipped({"image.tar.zst": FILE}))
        yield github


def read(text: str) -> tuple[str, bytes]:
    with source.opened(text, None, lambda _: None) as opened:
        return opened.name, b"".join(opened.chunks)


def test_an_archive_comes_from_anywhere(github: GitHub, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(FILE)
    assert read(str(file)) == (str(file), ARCHIVE)
    assert read(f"{github.storage}/f?sig=secret") == (f"{github.storage}/f", ARCHIVE)
    assert read("github:7/image") == ("github:o/r/7/image", ARCHIVE)


@pytest.mark.parametrize("content", [b"", b"text" * 100, FILE[:-20], FILE[:50] + b"x" + FILE[51:]])
def test_what_is_no_archive_is_one_line(github: GitHub, content: bytes) -> None:
    github.files |= {"f": content, "1": zipped({"image.tar.zst": content})}
    for text in (f"{github.storage}/f", "github:7/image"):
        with pytest.raises(ImagesError, match=r"is not a file that image\.save wrote|is damaged: "):
            read(text)


def test_addresses_and_artifacts_are_checked_first() -> None:
    for text in ("http://example.com/f", "github:x"):
        with pytest.raises(UsageError, match=r"^--from: "):
            read(text)


@pytest.mark.parametrize("scheme", ["HTTP", "ftp", "s3", "file"])
def test_an_address_is_no_file_whatever_its_scheme(scheme: str) -> None:
    with pytest.raises(UsageError, match=r"^--from: ") as caught:
        read(f"{scheme}://example.com/f?sig=secret")
    assert "secret" not in str(caught.value)
