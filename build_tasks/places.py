"""Where the suite keeps what it makes."""

from __future__ import annotations

import os
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
