"""Airflow's sources: a folder of the user's, or what git fetches."""

from __future__ import annotations

import hashlib
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

from build_tasks import places, process
from build_tasks.errors import MissingProgram, NetworkError, UsageError

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
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{place}: {file}: {error}") from None
    name = project.get("name", "apache-airflow")
    if name != "apache-airflow":
        raise UsageError(f"{place}: {folder} has the sources of {name}, not of apache-airflow")


def _version(folder: Path, place: str) -> str:
    """Return the version that a tree of Airflow's sources says it is."""
    for name in ("airflow-core/src/airflow/__init__.py", "airflow/__init__.py", "pyproject.toml"):
        file = folder / name
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
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
    git = shutil.which("git")
    if git is None:
        raise MissingProgram(f"{place}: git is not installed")
    from filelock import FileLock  # noqa: PLC0415 - start-up time

    home = places.cache_folder() / "sources" / hashlib.sha256(url.encode()).hexdigest()[:12]
    home.parent.mkdir(parents=True, exist_ok=True)
    fresh = home / "new"
    # All that leads git to a repository: in a hook, the environment names the user's own.
    environment = {
        "GIT_DIR": str(home / "git"),
        "GIT_INDEX_FILE": str(home / "index"),
        "GIT_WORK_TREE": str(fresh),
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    announce(f"fetching {reference} of {url}")
    with FileLock(home.with_suffix(".lock")):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        process.run((git, "init", "--quiet"), environment=environment)
        fetch = (git, "fetch", "--quiet", "--depth=1", "--", url, reference)
        ended = process.run(fetch, environment=environment, timeout=_FETCH, check=False)
        if ended.returncode:
            if "remote ref" in ended.stderr or "not our ref" in ended.stderr:
                raise UsageError(f"{place}: {url} has no {reference!r}: {_reason(ended.stderr)}")
            raise NetworkError(f"{place}: {url} cannot be fetched: {_reason(ended.stderr)}")
        head = process.run((git, "rev-parse", "FETCH_HEAD"), environment=environment)
        commit = head.stdout.strip()
        folder = home / commit
        if not folder.exists():
            checkout = (git, "checkout", "--quiet", "--force", commit, "--", ".")
            process.run(checkout, environment=environment, timeout=_FETCH)
            places.normalise(fresh)
            fresh.replace(folder)
    return _folder(str(folder), place)


def _reason(stderr: str) -> str:
    """Return git's first word on a failure: the last is advice."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if not line.lower().startswith(("warning:", "hint:"))]
    return next(iter(telling or lines), "git said nothing")
