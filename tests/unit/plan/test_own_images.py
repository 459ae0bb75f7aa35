"""What goes into images of a project's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.config import loading
from build_tasks.errors import ImagesError, UsageError
from build_tasks.model.labels import Revision
from build_tasks.model.matrix import ImageKind
from build_tasks.plan import dockerfiles, own_images
from build_tasks.plan.own_images import LowerImage, OwnContent
from build_tasks.plan.selection import Image

DOCKERFILE = """\
ARG AIRFLOW_IMAGE
FROM ${AIRFLOW_IMAGE}
ARG GREETING
RUN echo ${GREETING}
COPY b /b
ARG COMMIT_SHA
"""
#: What Airflow's image leaves.
BELOW = """\
FROM base
ARG AIRFLOW_UID=50000
USER ${AIRFLOW_UID}
ENV OF_PROD=app
ENTRYPOINT ["/usr/bin/dumb-init", "--", "/entrypoint"]
CMD []
"""
ON_TOP = "ARG AIRFLOW_IMAGE\nFROM ${AIRFLOW_IMAGE}\n"


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
    (tmp_path / "crlf.sh").write_bytes(b"echo\necho\r\necho\r\n")
    return tmp_path


def content(root: Path, table: str, *lowers: tuple[str, str], head: str = "") -> OwnContent:
    """Return the content of the image `own` of a table of settings.

    What it stands on is given by names and Dockerfiles, the nearest first; by default, it is PROD.
    """
    (root / "images.toml").write_text(f"{head}[images.own]\n{table}")
    settings = loading.load(environment={}, file=root / "images.toml")
    image = Image(ImageKind.PROD, "3.11", slim=False, name="own")
    shared = {"apt": root, "wheelhouse": root}
    below = [lower(root, *each) for each in lowers] or [lower(root, "prod", BELOW)]
    return own_images.content(image, settings, Revision("abc"), shared, below)


def lower(root: Path, name: str, text: str) -> LowerImage:
    """Return an image below, by its name and the text of its Dockerfile."""
    file = root / f"{name}.Dockerfile"
    file.write_text(text)
    return LowerImage(name, dockerfiles.read(file, name), (("AIRFLOW_UID", "7"),))


def test_a_dockerfile_gets_the_arguments_that_it_declares(root: Path) -> None:
    own = content(
        root,
        'dockerfile = "site/Dockerfile"\ncontext = "site"\narguments = { GREETING = "hello" }\n',
    )
    assert own.dockerfile.file == root / "site/Dockerfile"
    assert own.arguments == (("GREETING", "hello"), ("COMMIT_SHA", "abc"))
    assert (own.root, own.contexts) == (root / "site", {})


@pytest.mark.parametrize("table", ['dockerfile = "site/Dockerfile"\n', 'dags = "dags"\n'])
def test_steps_get_proxies_without_declaring_them(root: Path, table: str) -> None:
    own = content(root, table, head='https-proxy = "http://p:1"\nno-proxy = ["a"]\n')
    proxies = [pair for pair in own.arguments if pair[0].endswith("_PROXY")]
    assert proxies == [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "a")]


def test_the_context_of_a_dockerfile_is_the_project_by_default(root: Path) -> None:
    assert content(root, 'dockerfile = "site/Dockerfile"\n').root == root


def test_folders_and_scripts_of_a_declarative_image_are_contexts(root: Path) -> None:
    own = content(root, 'dags = "dags"\nbuild-script = "build.sh"\n')
    assert own.contexts["dags"] == root / "dags"
    assert (own.contexts["build-script"] / "build-script").read_text() == "echo built\n"
    assert own.contexts.keys() == {"dags", "build-script"}
    assert own.dockerfile.stands_on("AIRFLOW_IMAGE", {})
    again = content(root, 'dags = "dags"\nbuild-script = "build.sh"\n')
    assert again.dockerfile.file == own.dockerfile.file


def test_only_contexts_that_the_dockerfile_reads_are_prepared(root: Path) -> None:
    (root / "site/Dockerfile").write_text(f"{DOCKERFILE}RUN --mount=from=wheelhouse,target=/w ls\n")
    assert content(root, 'dockerfile = "site/Dockerfile"\n').contexts == {"wheelhouse": root}


@pytest.mark.parametrize(
    ("site", "user", "command"),
    [
        ("", "7", "[]"),
        ("USER 0\nRUN x\nUSER airflow:0\n", "airflow:0", "[]"),
        ("USER ${OF_PROD}\n", "app", "[]"),
        ('CMD ["scheduler"]\n', "7", '["scheduler"]'),
        ('CMD scheduler "$X"\n', "7", r'["/bin/sh", "-c", "scheduler \"$X\""]'),
        ('SHELL ["/bin/bash", "-c"]\nCMD a\n', "7", '["/bin/bash", "-c", "a"]'),
        (
            'CMD b\nENTRYPOINT ["/usr/bin/dumb-init", "--", "/start-entrypoint"]\nCMD ["a"]\n',
            "7",
            '["a"]',
        ),
    ],
)
def test_user_and_command_of_the_images_below_are_kept(
    root: Path, site: str, user: str, command: str
) -> None:
    table = 'dags = "dags"\nstart-script = "build.sh"\n'
    above = ("above", f"{ON_TOP}RUN other\n")
    own = content(root, table, above, ("site", f"{ON_TOP}{site}"), ("prod", BELOW))
    text = own.dockerfile.file.read_text()
    assert text.count(f"\nUSER {user}\n") == 1
    assert f"\nCMD {command}\n" in text
    assert "/start-scripts/03-own" in text


ANOTHER = (
    'images.toml: images.own.start-script: needs ENTRYPOINT ["/usr/bin/dumb-init", "--", '
    '"/entrypoint"], and the Dockerfile of '
)


@pytest.mark.parametrize(
    ("table", "site", "prod", "message"),
    [
        (
            'start-script = "build.sh"\n',
            'ENTRYPOINT ["/mine"]\n',
            BELOW,
            f"{ANOTHER}site has another",
        ),
        ('start-script = "build.sh"\n', "ENTRYPOINT x\n", BELOW, f"{ANOTHER}site has another"),
        ('start-script = "build.sh"\n', "", "FROM x\n", f"{ANOTHER}prod has none"),
        (
            'build-script = "build.sh"\nfrom = "prod"\n',
            "",
            "FROM x\n",
            "images.toml: images.own.from: the Dockerfile of prod has no USER, so that of own is "
            "unknown: add it there",
        ),
        (
            'dags = "dags"\n',
            "",
            "FROM x\n",
            "own: the Dockerfile of prod has no USER, so that of own is unknown: add it there",
        ),
    ],
)
def test_what_the_images_below_do_not_leave_is_one_line(
    root: Path, table: str, site: str, prod: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        content(root, table, ("site", f"{ON_TOP}{site}"), ("prod", prod))
    assert str(caught.value) == message


def test_an_image_that_only_sets_variables_needs_no_user(root: Path) -> None:
    own = content(root, 'environment = { A = "1" }\n', ("prod", "FROM x\n"))
    assert "USER" not in own.dockerfile.file.read_text()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('dags = "dag"\n', "images.toml: images.own.dags: there is no folder dag"),
        ('dags = "build.sh"\n', "images.toml: images.own.dags: there is no folder build.sh"),
        (
            'start-script = "crlf.sh"\n',
            "images.toml: images.own.start-script: crlf.sh: line 2 has a Windows line ending",
        ),
        (
            'build-script = "crlf.sh"\n',
            "images.toml: images.own.build-script: crlf.sh: line 2 has a Windows line ending",
        ),
        (
            'dags = "dags"\nchecks = "no.py"\n',
            "images.toml: images.own.checks: there is no file no.py",
        ),
        (
            'environment = { COMMIT_SHA = "x" }\n',
            "images.toml: images.own.environment: COMMIT_SHA: it is set from other settings",
        ),
        (
            'environment = { AIRFLOW_HOME = "/x" }\n',
            "images.toml: images.own.environment: AIRFLOW_HOME: it is set from other settings",
        ),
        ('start-script = "no.sh"\n', "images.toml: images.own.start-script: there is no file no.s"),
        ('python = ["-r no.txt"]\n', "images.toml: images.own.python"),
        ('apt = ["-r no.txt"]\n', "images.toml: images.own.apt"),
        (
            'dockerfile = "Dockerfile"\n',
            "images.toml: images.own.dockerfile: there is no file Dockerfile",
        ),
        (
            'dockerfile = "none/Dockerfile"\n',
            "images.toml: images.own.dockerfile: none/Dockerfile: the stage that is built is not "
            "based on AIRFLOW_IMAGE: begin with ARG AIRFLOW_IMAGE",
        ),
        (
            'dockerfile = "site/Dockerfile"\ntarget = "mai2"\n',
            "images.toml: images.own.target: site/Dockerfile: unknown stage 'mai2': there are none",
        ),
        (
            'dockerfile = "site/Dockerfile"\narguments = { COMMIT_SHA = "x" }\n',
            "images.toml: images.own.arguments: COMMIT_SHA: it is set from other settings",
        ),
        (
            'dags = "dags"\nenvironment = { DB_PASSWORD = "x" }\n',
            "images.toml: images.own.environment: 'DB_PASSWORD=***' contains a secret",
        ),
        (
            'dags = "dags"\nenvironment = { DB_PASSWORD = "$X" }\n',
            "images.toml: images.own.environment: variable DB_PASSWORD: holds a secret, which "
            "would stay in the image: leave it out, and give it to the container",
        ),
        (
            'dockerfile = "site/Dockerfile"\ncontext = "sites"\n',
            "images.toml: images.own.context: there is no folder sites",
        ),
        (
            'dockerfile = "site/Dockerfile"\narguments = { GREETINGS = "x" }\n',
            "images.toml: images.own.arguments: GREETINGS: site/Dockerfile does not declare it: "
            "did you mean GREETING?",
        ),
    ],
)
def test_what_is_missing_is_one_line(root: Path, table: str, message: str) -> None:
    with pytest.raises(ImagesError) as caught:
        content(root, table)
    assert isinstance(caught.value, UsageError)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
