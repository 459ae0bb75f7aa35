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
        return Path(named).expanduser().absolute()
    import platformdirs  # noqa: PLC0415 - start-up time

    return platformdirs.user_cache_path("airflow-images")
