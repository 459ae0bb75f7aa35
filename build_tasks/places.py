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


def builder_folder(name: str) -> Path:
    """Return the folder of a dedicated builder.

    Each has one, with a store of buildx's own (BUILDX_CONFIG): buildx locks a whole store while it
    asks one builder's nodes, so a node that hangs would delay the builds of all others.
    """
    return cache_folder() / "builders" / name
