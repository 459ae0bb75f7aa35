"""Airflow's sources: a folder of the user's, or what git fetches."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from build_tasks import git, locks, places
from build_tasks.errors import CommandError, MissingProgram, NetworkError, UsageError
from build_tasks.process import Completed

#: Seconds for git to fetch one commit.
_FETCH = 1800.0
_VERSION = re.compile(r"""^(?:__version__|version)\s*=\s*["']([^"']+)["']""", re.MULTILINE)


def find(source: str, place: str, announce: Callable[[str], None]) -> tuple[Path, str]:
    """Return a folder of Airflow's sources, and the version that they say they are.

    Args:
        source: a folder, or a repository and its reference, like `git+https://host/path@ref`.
        place: where that was set.
        announce: is told what is fetched.

    Raises:
        UsageError: there are no such sources.
        NetworkError: the repository cannot be fetched.
        MissingProgram: git is not installed.
    """
    fetch = source.startswith("git+")
    folder = _fetched(source, place, announce) if fetch else _folder(source, place)
    return folder, _version(folder, place)


def _folder(source: str, place: str) -> Path:
    folder = places.expanded(source).absolute()
    if not source or not (folder / "pyproject.toml").is_file():
        raise UsageError(
            f"{place}: {source!r} is no folder of Airflow's sources (with a pyproject.toml): "
            "choose release, wheels, such a folder, or git+URL@REF"
        )
    _refuse_another_project(folder, place)
    return folder


def _refuse_another_project(folder: Path, place: str) -> None:
    """Raise if the folder says that it is no Airflow: this project's own says so, too."""
    file = folder / "pyproject.toml"
    try:
        project = places.toml(places.read_text(file)).get("project", {})
    except ValueError as error:
        raise UsageError(f"{place}: {file}: {error}") from None
    except (FileNotFoundError, UsageError) as error:
        raise UsageError(f"{place}: {error}") from None
    name = project.get("name", "apache-airflow") if isinstance(project, dict) else None
    if name != "apache-airflow":
        raise UsageError(f"{place}: {folder} has the sources of {name}, not of apache-airflow")


def _version(folder: Path, place: str) -> str:
    """Return the version that a tree of Airflow's sources says it is."""
    for name in ("airflow-core/src/airflow/__init__.py", "airflow/__init__.py", "pyproject.toml"):
        file = folder / name
        text = file.read_text(encoding="utf-8-sig", errors="replace") if file.is_file() else ""
        found = _VERSION.search(text)
        if found:
            return found[1]
    raise UsageError(f"{place}: {folder} does not say which version of Airflow it is")


def _fetched(source: str, place: str, announce: Callable[[str], None]) -> Path:
    """Return a folder with a repository's files at a reference, like `git+https://host/path@ref`.

    The machine's own git fetches it, with the user's own rights; BuildKit sees the files only.
    """
    url = source.removeprefix("git+")
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if not separator or not slash:
        raise UsageError(
            f"{place}: {source!r} is no repository: write it git+https://HOST/PATH@REF"
        )
    path, _, reference = path.rpartition("@") if "@" in path else (path, "", "HEAD")
    url = f"{scheme}://{host}/{path}"
    user = host.rpartition("@")[0]
    if ":" in user or (user and scheme.lower().startswith("http")):
        raise UsageError(f"{place}: a password in the address would be shown: leave it to git")
    if not reference or reference.startswith("-"):
        raise UsageError(f"{place}: {reference!r} is no branch, tag or commit")
    if not shutil.which("git"):
        raise MissingProgram(f"{place}: git is not installed")
    home = places.cache_folder() / "sources" / hashlib.sha256(os.fsencode(url)).hexdigest()[:12]
    home.parent.mkdir(parents=True, exist_ok=True)
    fresh = home / "new"
    announce(f"fetching {reference} of {url}")
    with locks.hold(home.with_suffix(".lock"), f"fetches {url}", announce):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        ended = _fetch(home, url, reference)
        if ended.returncode:
            reason = git.reason(ended.stderr)
            if "remote ref" in ended.stderr or "not our ref" in ended.stderr:
                raise UsageError(f"{place}: {url} has no {reference!r}: {reason}")
            raise NetworkError(f"{place}: {url} cannot be fetched: {reason}")
        commit = git.run(home, "rev-parse", "FETCH_HEAD").stdout.strip()
        folder = home / commit
        if not folder.exists():
            checkout = ("checkout", "--quiet", "--force", commit, "--", ".")
            ended = git.run(home, *checkout, timeout=_FETCH)
            if ended.returncode:
                raise CommandError(f"{place}: {url}@{reference}: {git.reason(ended.stderr)}")
            places.normalise(fresh)
            fresh.replace(folder)
        _note_submodules(home, commit, f"{url}@{reference}", announce)
    return _folder(str(folder), place)


def _fetch(home: Path, url: str, reference: str) -> Completed:
    """Fetch one commit into a repository that has the remote's hash algorithm."""
    fetch = ("fetch", "--quiet", "--depth=1", "--no-tags", "--", url, reference)
    git.run(home, "init", "--quiet", "--template=")
    ended = git.run(home, *fetch, timeout=_FETCH)
    if "mismatched algorithms" in ended.stderr:
        shutil.rmtree(home / "git")
        git.run(home, "init", "--quiet", "--template=", "--object-format=sha256")
        ended = git.run(home, *fetch, timeout=_FETCH)
    return ended


def _note_submodules(home: Path, commit: str, source: str, announce: Callable[[str], None]) -> None:
    entries = git.run(home, "ls-tree", "-r", "-z", commit).stdout.split("\0")
    missing = [entry.partition("\t")[2] for entry in entries if entry.startswith("160000 ")]
    if missing:
        announce(f"warning: {source}: submodules are not fetched: {', '.join(missing)}")
