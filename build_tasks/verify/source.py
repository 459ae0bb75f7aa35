"""Where a saved image comes from: a file, a web address, or an artifact of a GitHub Actions run."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from build_tasks.process import Announce
from build_tasks.verify import archive, download, github_artifact

#: The option that names it.
OPTION = "--from"
#: Whatever begins like an address is one: as a file, its signature would be shown.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class Source:
    """A place that has a saved image: its name in messages, and the chunks of the archive."""

    name: str
    chunks: Iterator[bytes]


@contextlib.contextmanager
def opened(text: str, bundle: Path | None, announce: Announce) -> Iterator[Source]:
    """Open what `--from` names.

    Args:
        text: a file, `-`, an address with https://, or an artifact like `github:RUN_ID/NAME`.
        bundle: the CA bundle; None for that of this machine.
        announce: is told every few seconds how much was downloaded.

    Raises:
        ImagesError: it cannot be read, or is no file of image.save.
    """
    if not text.startswith(github_artifact.PREFIX) and not _ADDRESS.match(text):
        with archive.opened(text) as chunks:
            yield Source(text, chunks)
        return
    web = download.Web(bundle)
    if text.startswith(github_artifact.PREFIX):
        artifact = github_artifact.parse(text, OPTION)
        with github_artifact.opened(web, artifact, announce) as member:
            yield Source(artifact.text, archive.chunks(member, artifact.text))
        return
    download.check(text, OPTION)
    name = download.shown(text)
    with download.opened(web, text, name, announce) as data:
        buffered = io.BufferedReader(data, archive.BUFFER)
        yield Source(name, archive.chunks(buffered, name))
