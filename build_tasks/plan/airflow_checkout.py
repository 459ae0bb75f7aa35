"""Airflow's sources: a folder, or a git reference that is fetched."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from build_tasks import paths
from build_tasks.config import parsing
from build_tasks.errors import CommandError, MissingProgram, NetworkError, UsageError
from build_tasks.inputs import git
from build_tasks.process import Announce, Completed, locks
from build_tasks.text.formatting import listed

#: Seconds for git to fetch one commit.
_FETCH_TIMEOUT = 1800.0
_VERSION = re.compile(r"""^(?:__version__|version)\s*=\s*["']([^"']+)["']""", re.MULTILINE)
_VERSION_FILES = (
    "airflow-core/src/airflow/__init__.py",
    "airflow/__init__.py",
    "pyproject.toml",
)


def find(source: str, place: str, announce: Announce, start: Path = Path()) -> tuple[Path, str]:
    """Return a folder of Airflow's sources, and their version.

    The source is a folder, where a relative path begins at `start`; or a repository and a
    reference, like `git+https://host/path@ref`.

    Raises:
        UsageError: the sources do not exist or are not Airflow's.
        NetworkError: the repository cannot be fetched.
        MissingProgram: git is not installed.
    """
    folder = locate(source, place, announce, start)
    if not source or not (folder / "pyproject.toml").is_file():
        raise UsageError(
            f"{place}: {source!r} is no folder of Airflow's sources (with a pyproject.toml): "
            "choose release, wheels, such a folder, or git+URL@REF"
        )
    _refuse_other_project(folder / "pyproject.toml", place)
    return folder, _version(folder, place)


def locate(source: str, place: str, announce: Announce, start: Path = Path()) -> Path:
    """Return the folder of a source, which may not exist; see `find`. A reference is fetched.

    Raises:
        UsageError: there is no such repository or reference.
        NetworkError: the repository cannot be fetched.
        MissingProgram: git is not installed.
    """
    if source.startswith("git+"):
        return _fetch(source, place, announce)
    return (start / paths.expand_user(source)).absolute()


def extras(folder: Path, place: str) -> Collection[str] | None:
    """Return the extras that sources declare, None if their build makes them.

    Raises:
        UsageError: their pyproject.toml is unusable.
    """
    project = _project(folder / "pyproject.toml", place)
    declared = project.get("optional-dependencies")
    return declared.keys() if isinstance(declared, dict) else None


def _refuse_other_project(file: Path, place: str) -> None:
    """Raise UsageError if a pyproject.toml names another project, like this one."""
    name = _project(file, place).get("name", "apache-airflow")
    if name != "apache-airflow":
        raise UsageError(f"{place}: {file.parent} has the sources of {name}, not of apache-airflow")


def _project(file: Path, place: str) -> Mapping[str, Any]:
    """Return the table `project` of a pyproject.toml, empty if there is none."""
    try:
        project = paths.parse_toml(paths.read_text(file)).get("project", {})
    except ValueError as error:
        raise UsageError(f"{place}: {file}: {error}") from None
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
    return project if isinstance(project, dict) else {"name": None}


def _version(folder: Path, place: str) -> str:
    for name in _VERSION_FILES:
        file = folder / name
        text = file.read_text(encoding="utf-8-sig", errors="replace") if file.is_file() else ""
        match = _VERSION.search(text)
        if match:
            return parsing.version(match[1], f"{place}: {file}")
    raise UsageError(f"{place}: {folder} does not say which version of Airflow it is")


def _parse(source: str, place: str) -> tuple[str, str]:
    """Return the URL and the reference of a source like `git+https://host/path@ref`."""
    scheme, separator, rest = source.removeprefix("git+").partition("://")
    host, slash, path = rest.partition("/")
    if not separator or not slash:
        raise UsageError(
            f"{place}: {source!r} is no repository: write it git+https://HOST/PATH@REF"
        )
    path, _, reference = path.rpartition("@") if "@" in path else (path, "", "HEAD")
    user = host.rpartition("@")[0]
    if ":" in user or (user and scheme.lower().startswith("http")):
        raise UsageError(f"{place}: a password in the address would be shown: leave it to git")
    if not reference or reference.startswith("-"):
        raise UsageError(f"{place}: {reference!r} is no branch, tag or commit")
    return f"{scheme}://{host}/{path}", reference


def _fetch(source: str, place: str, announce: Announce) -> Path:
    """Return a folder with the files of a git reference.

    git runs on this machine, with the user's credentials; BuildKit only gets the files.
    """
    url, reference = _parse(source, place)
    if not shutil.which("git"):
        raise MissingProgram(f"{place}: git is not installed")
    digest = hashlib.sha256(os.fsencode(url)).hexdigest()[:12]
    repository = paths.kept() / "sources" / digest
    repository.parent.mkdir(parents=True, exist_ok=True)
    checkout = repository / "new"
    announce(f"fetching {reference} of {url}")
    with locks.hold(repository.with_suffix(".lock"), f"fetches {url}", announce):
        shutil.rmtree(checkout, ignore_errors=True)
        checkout.mkdir(parents=True)
        completed = _fetch_commit(repository, url, reference)
        if completed.returncode:
            reason = git.reason(completed.stderr)
            if "remote ref" in completed.stderr or "not our ref" in completed.stderr:
                raise UsageError(f"{place}: {url} has no {reference!r}: {reason}")
            raise NetworkError(f"{place}: {url} cannot be fetched: {reason}")
        commit = git.run(repository, "rev-parse", "FETCH_HEAD").stdout.strip()
        folder = repository / commit
        if not folder.exists():
            arguments = ("checkout", "--quiet", "--force", commit, "--", ".")
            completed = git.run(repository, *arguments, timeout=_FETCH_TIMEOUT)
            if completed.returncode:
                raise CommandError(f"{place}: {url}@{reference}: {git.reason(completed.stderr)}")
            paths.normalize_modes(checkout)
            checkout.replace(folder)
        entries = git.run(repository, "ls-tree", "-r", "-z", commit).stdout.split("\0")
    submodules = [entry.partition("\t")[2] for entry in entries if entry.startswith("160000 ")]
    if submodules:
        announce(f"warning: {url}@{reference}: submodules are not fetched: {listed(submodules)}")
    return folder


def _fetch_commit(repository: Path, url: str, reference: str) -> Completed:
    """Fetch one commit into a repository with the remote's hash algorithm."""
    fetch = ("fetch", "--quiet", "--depth=1", "--no-tags", "--", url, reference)
    git.run(repository, "init", "--quiet", "--template=")
    completed = git.run(repository, *fetch, timeout=_FETCH_TIMEOUT)
    if "mismatched algorithms" in completed.stderr:
        shutil.rmtree(repository / "git")
        git.run(repository, "init", "--quiet", "--template=", "--object-format=sha256")
        completed = git.run(repository, *fetch, timeout=_FETCH_TIMEOUT)
    return completed
