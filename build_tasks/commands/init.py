"""Write the files of a project."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from build_tasks import paths
from build_tasks.config import loading, schema
from build_tasks.config.options import Options
from build_tasks.console import answer
from build_tasks.errors import UsageError
from build_tasks.model.matrix import ImageKind
from build_tasks.text import hints
from build_tasks.text.hints import FILE_VARIABLE

_TEMPLATES = Path(__file__).parent / "templates"
_FILES = ("images.toml", "noxfile.py", "tasks.py", ".dockerignore", ".gitattributes")
#: The schema beside images.toml, which names it for editors.
_SCHEMA = "images.schema.json"


def init_project(_options: Options) -> None:
    """Write images.toml and the files beside it into the current folder; overwrite none."""
    folder = Path.cwd()
    named = os.environ.get(FILE_VARIABLE)
    if named and paths.expand_user(named).absolute() != folder / "images.toml":
        raise UsageError(
            f"{named}: init writes {folder / 'images.toml'}: go to the folder of the project, and "
            f"leave out --file and {FILE_VARIABLE}"
        )
    for name, content in _contents():
        try:
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                file.write(content)
        except FileExistsError:
            answer(f"{name}: kept as it is")
        else:
            answer(f"{name}: written")
    settings = loading.load(environment=os.environ, file=folder / "images.toml")
    answer(f"next: {hints.image('image.build', ImageKind.PROD, settings.pythons[0])}")


def _contents() -> Iterator[tuple[str, str]]:
    """Yield the name and the content of each file."""
    version = metadata.version("airflow-images")
    for name in _FILES:
        template = _TEMPLATES / f"{name.removeprefix('.')}.in"
        yield name, template.read_text(encoding="utf-8").replace("{version}", version)
    yield _SCHEMA, f"{json.dumps(schema.make(), indent=2)}\n"
