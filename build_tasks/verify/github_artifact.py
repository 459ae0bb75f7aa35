"""An artifact of a GitHub Actions run: a zip file, which is read while it is downloaded.

The address that GitHub gives for the file is a redirect to another host, which gets no token.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import re
import urllib.error
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO, Any
from urllib.parse import quote, urlencode

from build_tasks import paths
from build_tasks.errors import AuthError, NetworkError, UsageError
from build_tasks.process import Announce
from build_tasks.text.formatting import listed
from build_tasks.verify import download
from build_tasks.verify.download import NoRedirects, Web

PREFIX = "github:"
SYNTAX = "github:[OWNER/REPO/]RUN_ID[/NAME]"
#: The variables that can have the token; the first one that is set counts.
TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")
_API = "https://api.github.com"
_SOURCE = re.compile(
    r"github:(?:(?P<repository>[\w.-]+/[\w.-]+)/)?(?P<run>[0-9]{1,20})(?:/(?P<name>[^\"<>|*?\r\n\\/]+))?"
)
#: What a header can have without ending it.
_TOKEN = re.compile(r"[\x21-\x7e]+")
#: What reading a damaged file of a zip file raises.
_DAMAGED = (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, lzma.LZMAError)
#: The flag of a file of a zip file that is encrypted.
_ENCRYPTED = 1
#: Artifacts of one answer, and answers at most.
_PAGE = 100
_PAGES = 50
#: Bytes that are read at once, and those of an answer of the API at most.
_BUFFER = 256 * 1024
_ANSWER = 8 * 1024 * 1024


@dataclass(frozen=True)
class Artifact:
    """The artifact of a run: `OWNER/REPO`, the id of the run, and the name; "" for the only one."""

    repository: str
    run: str
    name: str = ""

    @property
    def text(self) -> str:
        """The artifact as it is written."""
        return "/".join(filter(None, (f"{PREFIX}{self.repository}", self.run, self.name)))


def parse(text: str, place: str) -> Artifact:
    """Return the artifact that a text names.

    Raises:
        UsageError: it has another form, or no repository.
    """
    match = _SOURCE.fullmatch(text)
    if not match:
        raise UsageError(f"{place}: expected {SYNTAX}, got {text!r}")
    repository = match["repository"] or os.environ.get("GITHUB_REPOSITORY", "")
    if not repository:
        raise UsageError(f"{place}: {text}: name the repository, like github:OWNER/REPO/RUN_ID")
    return Artifact(repository, match["run"], match["name"] or "")


@contextlib.contextmanager
def opened(web: Web, artifact: Artifact, announce: Announce) -> Iterator[IO[bytes]]:
    """Open the only file of an artifact.

    Raises:
        UsageError: there is no such artifact, it is expired, or it is not one file of image.save.
        AuthError: there is no token, or GitHub refuses it.
        NetworkError: GitHub does not answer.
    """
    api = _Api(web, artifact)
    found = api.find()
    address = api.address(found)
    with download.opened(web, address, artifact.text, announce) as data:
        try:
            with (
                zipfile.ZipFile(io.BufferedReader(data, _BUFFER)) as archive,
                archive.open(_only_file(archive, artifact)) as member,
            ):
                yield member
        except _DAMAGED as error:
            raise UsageError(f"{artifact.text}: is damaged: {error}") from None


def _only_file(archive: zipfile.ZipFile, artifact: Artifact) -> zipfile.ZipInfo:
    files = [member for member in archive.infolist() if not member.is_dir()]
    files = [one for one in files if one.filename.endswith(".zst")] or files
    if len(files) != 1:
        names = listed(one.filename for one in files) or "none"
        raise UsageError(f"{artifact.text}: expected one file of image.save, it has {names}")
    if files[0].flag_bits & _ENCRYPTED:
        raise UsageError(f"{artifact.text}: {files[0].filename} is encrypted")
    return files[0]


class _Api:
    """The API of GitHub, by a token that no other host gets."""

    def __init__(self, web: Web, artifact: Artifact) -> None:
        self._web = web
        self._artifact = artifact
        self._base = (os.environ.get("GITHUB_API_URL") or _API).rstrip("/")
        download.check(self._base, "GITHUB_API_URL")
        name = next((name for name in TOKENS if os.environ.get(name)), "")
        if not name:
            raise AuthError(f"{artifact.text}: GitHub needs a token: set {' or '.join(TOKENS)}")
        token = os.environ[name].strip()
        if not _TOKEN.fullmatch(token):  # http.client would show it
            raise AuthError(f"{name}: is no token: it has spaces, line ends or letters like ä")
        self._headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "User-Agent": "airflow-images",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def find(self) -> int:
        """Return the id of the newest artifact of that name."""
        found = self._list()
        names = sorted({str(one.get("name")) for one in found})
        if self._artifact.name:
            found = [one for one in found if one.get("name") == self._artifact.name]
        if not found:
            raise UsageError(f"{self._artifact.text}: the run has {listed(names) or 'no artifact'}")
        if not self._artifact.name and len(names) > 1:
            raise UsageError(f"{self._artifact.text}: name one of its artifacts: {listed(names)}")
        usable = [one for one in found if not one.get("expired")]
        if not usable:
            date = str(found[-1].get("expires_at") or "")[:10]
            raise UsageError(f"{self._artifact.text}: expired {date}".rstrip())
        newest = max(usable, key=lambda one: (str(one.get("created_at") or ""), _number(one)))
        return _number(newest)

    def address(self, number: int) -> str:
        """Return the address of an artifact's file, which is on another host."""
        path = f"actions/artifacts/{number}/zip"
        try:
            with self._open(path) as response:
                raise NetworkError(f"{self._artifact.text}: GitHub answers {response.status}")
        except _Redirect as redirect:
            address = str(redirect)
        download.check(address, self._artifact.text)
        return address

    def _list(self) -> list[Mapping[str, Any]]:
        """Return the artifacts of the run, which come in pages."""
        found: list[Mapping[str, Any]] = []
        name = {"name": self._artifact.name} if self._artifact.name else {}
        for page in range(1, _PAGES + 1):
            query = urlencode({"per_page": _PAGE, "page": page, **name})
            answer = self._answer(f"actions/runs/{self._artifact.run}/artifacts?{query}")
            artifacts = answer.get("artifacts")
            if not isinstance(artifacts, list):
                raise NetworkError(f"{self._artifact.text}: GitHub answers with no artifacts")
            found += [one for one in artifacts if isinstance(one, dict)]
            if not artifacts or len(found) >= (answer.get("total_count") or 0):
                break
        return found

    def _answer(self, path: str) -> Mapping[str, Any]:
        """Return the table that the API answers with, empty if it is none."""
        try:
            with self._open(path) as response:
                return _table(response)
        except _Redirect:
            raise UsageError(
                f"{self._artifact.text}: GitHub has another name for {self._artifact.repository}"
            ) from None
        except (OSError, HTTPException) as error:
            text = f"{self._artifact.text}: GitHub's answer was cut off: {error}"
            raise NetworkError(text, transient=True) from None

    def _open(self, path: str) -> Any:
        address = f"{self._base}/repos/{quote(self._artifact.repository)}/{path}"
        try:
            return self._web.open(address, self._headers, NoRedirects)
        except urllib.error.HTTPError as error:
            with error:
                if location := error.headers.get("Location"):
                    raise _Redirect(location) from None
                raise self._refused(error) from None

    def _refused(self, error: urllib.error.HTTPError) -> Exception:
        """Return the error for a status of GitHub, with what it says."""
        try:
            body = _table(error)
        except (OSError, HTTPException):
            body = {}
        text = f"{self._artifact.text}: {error.code} {body.get('message') or error.reason}"
        if error.code == 410:  # noqa: PLR2004 - Gone
            return UsageError(f"{self._artifact.text}: expired")
        if error.code in {401, 403}:
            return AuthError(f"{text} (the token needs the permission actions: read)")
        if error.code == 404:  # noqa: PLR2004 - Not Found
            return UsageError(f"{text} (or the token may not read it)")
        return NetworkError(text, transient=error.code >= 500)  # noqa: PLR2004 - RFC 9110


class _Redirect(Exception):
    """Has the address that an answer leads to."""


def _table(response: IO[bytes]) -> Mapping[str, Any]:
    """Return the table that an answer is, empty if it is none."""
    return paths.parse_json(response.read(_ANSWER).decode(errors="replace"))


def _number(artifact: Mapping[str, Any]) -> int:
    number = artifact.get("id")
    return number if isinstance(number, int) else 0
