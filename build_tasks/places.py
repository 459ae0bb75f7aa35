"""Where the suite keeps what it makes."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for everything that can be made again.

    `AIRFLOW_IMAGES_CACHE` names it; otherwise it is the user's cache folder for this suite.
    """
    named = os.environ.get("AIRFLOW_IMAGES_CACHE")
    if named:
        return expanded(named).absolute()
    import platformdirs  # noqa: PLC0415 - start-up time

    return platformdirs.user_cache_path("airflow-images")


def expanded(text: str) -> Path:
    """Return a path with the user's home for `~`; the home of a user that is not there stays."""
    # Path.expanduser raises RuntimeError for such a user.
    return Path(os.path.expanduser(text))  # noqa: PTH111


def normalise(folder: Path) -> None:
    """Give the files modes that do not depend on the umask: a build's cache looks at them."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runs else 0o644)
