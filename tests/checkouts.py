"""Small checkouts of Airflow for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

CORE = """\
[project]
name = "apache-airflow-core"
version = "3.3.2"
readme = { file = "README.md", content-type = "text/markdown" }
license-files = ["LICENSE", "licenses/*.txt"]
dependencies = ["sqlalchemy>=2", "apache-airflow-task-sdk==1.3.2"]

[project.optional-dependencies]
"otel" = ["opentelemetry-api>=1"]
"All" = ["apache-airflow-core[otel]"]

[dependency-groups]
dev = ["apache-airflow-core[all]", "pytest>=8", { include-group = "more" }]
more = ["rich"]
broken = [{ include-group = "none" }]

[tool.hatch.version]
path = "src/airflow/__init__.py"

[tool.hatch.build.targets.custom]
path = "./hatch_build.py"

[tool.hatch.build.targets.wheel]
packages = ["src/airflow"]
"""
SDK = """\
[project]
name = "apache-airflow-task-sdk"
dynamic = ["version"]

[tool.hatch.version]
path = "src/airflow/sdk/__init__.py"
"""
PROVIDER = """\
[project]
name = "apache_airflow_providers.standard"
version = "1.0"

[tool.flit.module]
name = "airflow.providers.standard"
"""


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files, by their paths."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text), encoding="utf-8")
