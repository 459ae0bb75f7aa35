"""An image to verify that no engine has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from build_tasks.buildx.toolchain import Client
from build_tasks.model.build import BuildInputs
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.verify.target import Image, Target


def target(**changes: Any) -> Target:  # the attributes have several types
    given = {
        "client": Client("docker", (), {}),
        "image": Image("i", {"Os": "linux", "Architecture": "amd64"}),
        "build": Build(ImageKind.PROD, "3.11", Platform.AMD64),
        "airflow": "3.3.2",
        "constraints": Path("none"),
        "extras": (),
        "packages": (),
        "budget": 0,
        "bytecode": "airflow",
        "services": BuildInputs(Path("none"), Path("none")),
        "folder": Path("none"),
        **changes,
    }
    return Target(**given)
