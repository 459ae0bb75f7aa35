"""What goes into images of a project's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.config import loading
from build_tasks.errors import ImagesError, UsageError
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
def root(tmp_path: Path) -> Path:
    """A project."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "site/b").touch()
    (tmp_path / "none").mkdir()
    (tmp_path / "none/Dockerfile").write_text("FROM python:3.11\n")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/a.py").touch()
    (tmp_path / "build.sh").write_text("echo built\n")
    return tmp_path


def content(root: Path, table: str) -> OwnContent:
    """Return the content of the image `own` of a table of settings."""
    (root / "images.toml").write_text(f"[images.own]\n{table}")
    settings = loading.load(environment={}, file=root / "images.toml")
    image = Image(ImageKind.PROD, "3.11", slim=False, name="own")
    return own_images.content(image, settings, Revision("abc"), {"apt": root, "wheelhouse": root})


def test_a_dockerfile_gets_the_arguments_that_it_declares(root: Path) -> None:
    own = content(
        root,
        'dockerfile = "site/Dockerfile"\ncontext = "site"\narguments = { GREETING = "hello" }\n',
    )
    assert own.dockerfile.file == root / "site/Dockerfile"
    assert own.arguments == (("GREETING", "hello"), ("COMMIT_SHA", "abc"))
    assert (own.root, own.contexts) == (root / "site", {})


def test_the_context_of_a_dockerfile_is_the_project_by_default(root: Path) -> None:
    assert content(root, 'dockerfile = "site/Dockerfile"\n').root == root


def test_folders_and_scripts_of_a_declarative_image_are_contexts(root: Path) -> None:
    own = content(root, 'dags = "dags"\nbuild-script = "build.sh"\n')
    assert own.contexts["dags"] == root / "dags"
    assert (own.contexts["build-script"] / "build-script").read_text() == "echo built\n"
    assert own.contexts.keys() == {"dags", "build-script"}
    assert own.dockerfile.stands_on("AIRFLOW_IMAGE")
    again = content(root, 'dags = "dags"\nbuild-script = "build.sh"\n')
    assert again.dockerfile.file == own.dockerfile.file


def test_only_contexts_that_the_dockerfile_reads_are_prepared(root: Path) -> None:
    (root / "site/Dockerfile").write_text(f"{DOCKERFILE}RUN --mount=from=wheelhouse,target=/w ls\n")
    assert content(root, 'dockerfile = "site/Dockerfile"\n').contexts == {"wheelhouse": root}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('dags = "dag"\n', "images.toml: images.own.dags: there is no folder dag"),
        ('dags = "build.sh"\n', "images.toml: images.own.dags: there is no folder build.sh"),
        ('start-script = "no.sh"\n', "images.toml: images.own.start-script: there is no file no.s"),
        ('python = ["-r no.txt"]\n', "images.toml: images.own.python"),
        ('apt = ["-r no.txt"]\n', "images.toml: images.own.apt"),
        (
            'dockerfile = "Dockerfile"\n',
            "images.toml: images.own.dockerfile: there is no file Dockerfile",
        ),
        (
            'dockerfile = "none/Dockerfile"\n',
            "images.toml: images.own.dockerfile: none/Dockerfile: no FROM uses AIRFLOW_IMAGE",
        ),
        (
            'dockerfile = "site/Dockerfile"\ntarget = "mian"\n',
            "images.toml: images.own.target: Dockerfile: unknown stage 'mian': there are none",
        ),
        (
            'dockerfile = "site/Dockerfile"\narguments = { COMMIT_SHA = "x" }\n',
            "images.toml: images.own.arguments: COMMIT_SHA: it is set from other settings",
        ),
        (
            'dags = "dags"\nenvironment = { DB_PASSWORD = "x" }\n',
            "DB_PASSWORD",
        ),
        (
            'dockerfile = "site/Dockerfile"\ncontext = "sites"\n',
            "images.toml: images.own.context: there is no folder sites",
        ),
        (
            'dockerfile = "site/Dockerfile"\narguments = { GREETINGS = "x" }\n',
            "images.toml: images.own.arguments: GREETINGS: Dockerfile does not declare it: did you "
            "mean GREETING?",
        ),
    ],
)
def test_what_is_missing_is_one_line(root: Path, table: str, message: str) -> None:
    with pytest.raises(ImagesError) as caught:
        content(root, table)
    assert isinstance(caught.value, UsageError)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
