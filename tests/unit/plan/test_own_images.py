"""What goes into images of a project's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.config import loading
from build_tasks.errors import ImagesError, UsageError
from build_tasks.inputs import context
from build_tasks.inputs.context import Prepared
from build_tasks.model.labels import Revision
from build_tasks.model.matrix import ImageKind
from build_tasks.plan import own_images
from build_tasks.plan.own_images import OwnContent
from build_tasks.plan.selection import Image

DOCKERFILE = """\
ARG AIRFLOW_IMAGE
FROM ${AIRFLOW_IMAGE}
ARG GREETING
RUN echo ${GREETING}
COPY b /b
ARG COMMIT_SHA
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, whose folders are taken as they are."""

    def prepare(folder: Path, *_: object) -> Prepared:
        files = [path for path in folder.rglob("*") if path.is_file()]
        return Prepared(folder, {str(path.relative_to(folder)): "100644 1" for path in files})

    monkeypatch.setattr(context, "prepare", prepare)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "site/b").touch()
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/a.py").touch()
    (tmp_path / "build.sh").write_text("echo built\n")
    return tmp_path


def content(root: Path, table: str) -> OwnContent:
    """Return the content of the image `own` of a table of settings."""
    (root / "images.toml").write_text(f"[images.own]\n{table}")
    settings = loading.load(environment={}, file=root / "images.toml")
    image = Image(ImageKind.PROD, "3.11", slim=False, name="own")
    return own_images.content(image, settings, Revision("abc"), {}, print)


def test_a_dockerfile_gets_the_arguments_that_it_declares(root: Path) -> None:
    own = content(
        root,
        'dockerfile = "site/Dockerfile"\ncontext = "site"\narguments = { GREETING = "hello" }\n',
    )
    assert own.dockerfile == root / "site/Dockerfile"
    assert own.arguments == (("GREETING", "hello"), ("COMMIT_SHA", "abc"))
    assert {name: item.folder for name, item in own.contexts.items()} == {"": root / "site"}


def test_the_context_of_a_dockerfile_is_the_project_by_default(root: Path) -> None:
    assert content(root, 'dockerfile = "site/Dockerfile"\n').contexts[""].folder == root


def test_folders_and_scripts_of_a_declarative_image_are_contexts(root: Path) -> None:
    own = content(root, 'dags = "dags"\nbuild-script = "build.sh"\n')
    assert list(own.contexts["dags"].files) == ["a.py"]
    script = own.contexts["build-script"].folder / "build-script"
    assert script.read_text() == "echo built\n"
    assert "AIRFLOW_IMAGE" in own.dockerfile.read_text()
    assert content(root, 'dags = "dags"\nbuild-script = "build.sh"\n').dockerfile == own.dockerfile


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('dags = "dag"\n', "images.toml: images.own.dags: there is no folder dag"),
        ('dags = "build.sh"\n', "images.toml: images.own.dags: there is no folder build.sh"),
        ('start-script = "no.sh"\n', "images.toml: images.own.start-script: there is no file no.s"),
        ('python = ["-r no.txt"]\n', "images.toml: images.own.python"),
        ('apt = ["-r no.txt"]\n', "images.toml: images.own.apt"),
        ('dockerfile = "Dockerfile"\n', "Dockerfile"),
        (
            'dockerfile = "site/Dockerfile"\ncontext = "sites"\n',
            "images.toml: images.own.context: there is no folder sites",
        ),
        (
            'dockerfile = "site/Dockerfile"\narguments = { GREETINGS = "x" }\n',
            "images.toml: images.own.arguments: GREETINGS",
        ),
    ],
)
def test_what_is_missing_is_one_line(root: Path, table: str, message: str) -> None:
    with pytest.raises(ImagesError) as caught:
        content(root, table)
    assert isinstance(caught.value, UsageError)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
