"""Artifacts of GitHub Actions, on a server that answers as GitHub's."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

import pytest
from github_api import TOKEN, GitHub, serving, zipped

from build_tasks.errors import AuthError, ImagesError, NetworkError, UsageError
from build_tasks.verify import github_artifact
from build_tasks.verify.download import Web
from build_tasks.verify.github_artifact import Artifact

CONTENT = b"".join(number.to_bytes(4, "big") for number in range(60_000))
IMAGE = Artifact("o/r", "7", "image")


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    with serving() as github:
        monkeypatch.setenv("GITHUB_API_URL", github.api)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        for name in ("digests", "reports", "image"):
            github.add(name, zipped({f"{name}.tar.zst": CONTENT}))
        yield github


def read(artifact: Artifact = IMAGE) -> bytes:
    with github_artifact.opened(Web(), artifact, lambda _: None) as member:
        return member.read()


@pytest.mark.parametrize(
    ("text", "artifact"),
    [
        ("github:o/r/7/image", IMAGE),
        ("github:7/image", IMAGE),
        ("github:7", Artifact("o/r", "7")),
        ("github:o.x/r_y-z/7", Artifact("o.x/r_y-z", "7")),
        ("github:7/my image (1)", Artifact("o/r", "7", "my image (1)")),
    ],
)
def test_an_artifact_has_a_short_name(
    monkeypatch: pytest.MonkeyPatch, text: str, artifact: Artifact
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    assert github_artifact.parse(text, "--from") == artifact


@pytest.mark.parametrize("text", ["github:", "github:x", "github:o/r", "github:o/r/7/a/b", "7"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--from: expected github:\[OWNER/REPO/\]RUN_ID"):
        github_artifact.parse(text, "--from")


def test_without_a_repository_it_has_to_be_named() -> None:
    with pytest.raises(UsageError, match="github:7: name the repository, like github:OWNER/REPO/"):
        github_artifact.parse("github:7", "--from")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("named", [True, False])
def test_the_file_is_streamed_and_other_hosts_get_no_token(
    github: GitHub, compression: int, named: bool
) -> None:
    github.files["3"] = zipped({"ci.tar.zst": CONTENT}, compression)
    if not named:
        github.artifacts = github.artifacts[2:]
    assert read(IMAGE if named else Artifact("o/r", "7")) == CONTENT
    of_api = [one for one in github.requests if one.host.startswith("127.")]
    others = [one for one in github.requests if one not in of_api]
    assert all(one.headers["Authorization"] == f"Bearer {TOKEN}" for one in of_api)
    assert len(others) == 3  # the size of the file, its end with the directory, and all of it
    assert not any(TOKEN in f"{one.path} {one.headers}" for one in others)


def test_artifacts_come_in_pages_and_the_newest_counts(github: GitHub) -> None:
    github.add("image", zipped({"new.tar.zst": b"new"}))
    github.add("image", zipped({"gone.tar.zst": b"gone"}), expired=True)
    assert read() == b"new"
    pages = [one.path for one in github.requests if "artifacts?" in one.path]
    assert [path.partition("page=1")[1] or path.partition("page=2")[1] for path in pages]
    assert len(pages) == 2


@pytest.mark.parametrize(
    ("artifact", "problem"),
    [
        (Artifact("o/r", "7", "other"), r"github:o/r/7/other: the run has no artifact"),
        (Artifact("o/r", "7"), r"github:o/r/7: name one of its artifacts: digests, image, reports"),
        (Artifact("o/r", "8"), r"github:o/r/8: 404 Not Found \(or the token may not read it\)"),
    ],
)
def test_what_the_run_has_is_named(github: GitHub, artifact: Artifact, problem: str) -> None:
    del github
    with pytest.raises(UsageError, match=problem):
        read(artifact)


@pytest.mark.parametrize(
    ("part", "status", "error", "problem"),
    [
        ("runs", 401, AuthError, "401 says why .the token needs the permission actions: read"),
        ("runs", 403, AuthError, "403 says why"),
        ("runs", 500, NetworkError, "500 says why"),
        ("zip", 404, UsageError, "404 says why"),
        ("zip", 410, UsageError, "github:o/r/7/image: expired"),
        ("zip", 200, NetworkError, "GitHub answers 200"),
        ("runs", 200, NetworkError, "GitHub answers with no artifacts"),
        ("runs", 301, UsageError, "github:o/r/7/image: GitHub has another name for o/r"),
        ("runs", 0, NetworkError, "github:o/r/7/image: GitHub's answer was cut off"),
    ],
)
def test_an_answer_of_github_has_its_kind_of_error(
    github: GitHub, part: str, status: int, error: type[ImagesError], problem: str
) -> None:
    github.status[part] = status
    with pytest.raises(error, match=problem) as caught:
        read()
    assert TOKEN not in str(caught.value)


def test_an_expired_artifact_says_since_when(github: GitHub) -> None:
    github.artifacts[2] |= {"expired": True, "expires_at": "2026-11-30T10:00:00Z"}
    with pytest.raises(UsageError, match=r"github:o/r/7/image: expired 2026-11-30$"):
        read()


def test_without_a_token_nothing_is_asked(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    with pytest.raises(AuthError, match="GitHub needs a token: set GITHUB_TOKEN or GH_TOKEN"):
        read()
    assert github.requests == []
    monkeypatch.setenv("GH_TOKEN", f"{TOKEN}\n")
    assert read() == CONTENT


@pytest.mark.parametrize("token", [f"{TOKEN}\nx", f"{TOKEN} x", f"{TOKEN}ä"])
def test_a_token_that_is_none_is_not_shown(
    github: GitHub, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", token)
    with pytest.raises(AuthError, match=r"^GITHUB_TOKEN: is no token") as caught:
        read()
    assert TOKEN not in str(caught.value)
    assert github.requests == []


def test_a_token_is_not_sent_without_tls(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", "http://github.example.com/api/v3")
    with pytest.raises(UsageError, match=r"^GITHUB_API_URL: .*: expected an address with https"):
        read()
    monkeypatch.setenv("GITHUB_API_URL", github.api)
    github.location = "http://example.com/file?sig=1"
    with pytest.raises(UsageError, match=r"http://example.com/file: expected an address with http"):
        read()


def changed(content: bytes, signature: bytes, at: int, flags: int) -> bytes:
    """Return a zip file with other bits at a place behind each signature of its one file."""
    place = content.index(signature) + at
    return content[:place] + bytes((content[place] ^ flags,)) + content[place + 1 :]


DEFLATED, COMPRESSED_WITH_LZMA = (
    zipped({"a": CONTENT}, method) for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "does not say how large|is damaged|not send parts"),
        (b"no zip" * 1000, "github:o/r/7/image: is damaged: File is not a zip file"),
        (zipped({"a": CONTENT})[:-100], "is damaged: "),
        (zipped({"a": CONTENT}, 0).replace(CONTENT[:40], b"x" * 40), "is damaged: "),
        (changed(DEFLATED, b"PK\3\4", 31, 0xFF), "is damaged: "),
        (changed(COMPRESSED_WITH_LZMA, b"PK\3\4", 60, 0xFF), "is damaged: "),
        (changed(DEFLATED, b"PK\1\2", 8, 1), "github:o/r/7/image: a is encrypted"),
        (changed(DEFLATED, b"PK\1\2", 10, 0x40), "is damaged: "),
        (zipped({}), "expected one file of image.save, it has none"),
        (
            zipped({"a.zst": b"", "b.zst": b""}),
            "expected one file of .*, it has a.zst, b.zst",
        ),
    ],
)
def test_a_broken_artifact_is_one_line(github: GitHub, content: bytes, problem: str) -> None:
    github.files["3"] = content
    with pytest.raises(ImagesError, match=problem):
        read()


def test_another_file_beside_the_image_does_not_matter(github: GitHub) -> None:
    github.files["3"] = zipped({"image.tar.zst": CONTENT, "log.txt": b"log"})
    assert read() == CONTENT


def test_a_download_that_is_cut_off_is_an_error(github: GitHub) -> None:
    github.files["3"] = zipped({"a": CONTENT}, zipfile.ZIP_STORED)
    github.cut = 100_000
    with pytest.raises(NetworkError, match=r"^github:o/r/7/image: "):
        read()
