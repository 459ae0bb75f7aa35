"""What goes into a build, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import specs

from build_tasks.errors import DockerfileError, UsageError
from build_tasks.inputs import fingerprint
from build_tasks.inputs.context import Prepared
from build_tasks.model.labels import Revision
from build_tasks.plan import build_inputs
from build_tasks.plan.build_host import Base, BuildHost
from build_tasks.plan.dockerfiles import Dockerfile
from build_tasks.plan.image_content import ImageContent
from build_tasks.plan.selection import Image


def test_a_dockerfile_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    spec = specs.make(dockerfile=tmp_path / "none", context=tmp_path)
    with pytest.raises(UsageError, match=r"none: cannot be read: "):
        build_inputs.collect(spec)


def test_a_dockerfile_that_declares_source_date_epoch_gets_it(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM x\nRUN true\n")
    spec = specs.make(dockerfile=file, context=tmp_path, epoch="17")
    assert build_inputs.add_fingerprint_label(spec, tmp_path).inputs.arguments == ()
    file.write_text("FROM x\nARG SOURCE_DATE_EPOCH\nRUN true\n")
    made = build_inputs.add_fingerprint_label(spec, tmp_path)
    assert made.inputs.arguments == (("SOURCE_DATE_EPOCH", "17"),)
    assert made.inputs.content
    assert made.inputs.content.arguments == {"SOURCE_DATE_EPOCH": "17"}
    assert (
        build_inputs.add_fingerprint_label(specs.change(spec, epoch=""), tmp_path).inputs.arguments
        == ()
    )


def test_windows_line_endings_in_a_heredoc_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_bytes(b"FROM x\r\nRUN <<E\r\ntrue\r\nE\r\n")
    with pytest.raises(DockerfileError, match=r": line 2: the heredoc has Windows line "):
        build_inputs.collect(specs.make(dockerfile=file, context=tmp_path))


def test_the_label_is_the_fingerprint_of_what_was_read_first(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM x\nRUN true\n")
    spec = build_inputs.add_fingerprint_label(
        specs.make(dockerfile=file, context=tmp_path), tmp_path
    )
    assert spec.inputs.content
    assert dict(spec.inputs.labels)[fingerprint.LABEL] == spec.inputs.content.fingerprint
    file.write_text("FROM x\nRUN false\n")  # edited since
    assert build_inputs.collect(spec) is spec.inputs.content


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _: None, "it does not exist"),
        (lambda path: path.mkdir(), "it has no file (to build without, git add an empty .gitkeep)"),
        (lambda path: path.symlink_to("/etc"), "it is a link, and links are not followed"),
        (lambda path: path.touch(), "its files are not added to git (git add, or --context-untr"),
    ],
)
def test_a_path_that_does_not_enter_is_one_line(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM x\nCOPY sources /s\n")
    make(tmp_path / "sources")
    spec = specs.make(dockerfile=file, context=tmp_path)
    with pytest.raises(UsageError) as caught:
        build_inputs.add_fingerprint_label(spec, tmp_path)
    message = "Dockerfile: line 2: nothing of sources enters the build: "
    assert str(caught.value).startswith(f"{message}{reason}")
    entered = specs.change(spec, files={"sources/a": "100644 1"})
    assert build_inputs.add_fingerprint_label(entered, tmp_path).inputs.content


@pytest.mark.parametrize(
    "step", ["COPY ../a /", "RUN --mount=type=bind,source=b/../../a,target=/a true"]
)
def test_a_path_outside_of_the_context_is_one_line(tmp_path: Path, step: str) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(f"FROM x\n{step}\n")
    spec = specs.make(dockerfile=file, context=tmp_path)
    own = replace(spec, build=replace(spec.build, name="site"))
    for build, name in ((spec, ""), (own, "site: ")):
        with pytest.raises(UsageError) as caught:
            build_inputs.add_fingerprint_label(build, tmp_path / "site")
        message = "Dockerfile: line 2: ../a is outside of the build context "
        assert str(caught.value).startswith(f"{name}{message}{tmp_path / 'site'}: ")


def test_a_folder_that_is_a_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a").touch()
    (tmp_path / "sources").symlink_to("elsewhere")
    file = tmp_path / "Dockerfile"
    file.write_text("FROM x\nCOPY sources/a /s\n")
    with pytest.raises(UsageError, match="enters the build: sources is a link, and links are not"):
        build_inputs.add_fingerprint_label(specs.make(dockerfile=file, context=tmp_path), tmp_path)


@pytest.mark.parametrize("step", ["COPY *.txt /s", "COPY . /s", "COPY --from=y sources /s"])
def test_patterns_and_other_stages_may_have_no_file(tmp_path: Path, step: str) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(f"FROM x\n{step}\n")
    build_inputs.add_fingerprint_label(specs.make(dockerfile=file, context=tmp_path), tmp_path)


def test_files_of_a_named_context_have_its_name(host: BuildHost, tmp_path: Path) -> None:
    contexts = {
        "": Prepared(tmp_path, {"a": "100644 1"}),
        "wheels": Prepared(tmp_path / "w", {"b.whl": "100644 2"}),
    }
    image = Image(specs.BUILD.kind, "3.11", slim=False)
    file = Path("Dockerfile.ci")
    read = Dockerfile(file, file.name, "stage", ())
    content = ImageContent(
        image, read, tmp_path, "3.3.2", (("A", "1"),), contexts, (), Revision("abc")
    )
    made = build_inputs.for_build(specs.BUILD, content, host, Base("base:1", digest="sha256:1"))
    assert made.files == {"a": "100644 1", "wheels:b.whl": "100644 2"}
    assert made.contexts == (("wheels", tmp_path / "w"),)
    assert made.arguments == (("BASE_IMAGE", "base:1"), ("A", "1"))
    assert made.final_arguments == (("BASE_IMAGE", "base:1@sha256:1"), ("A", "1"))
    assert dict(made.labels)["org.opencontainers.image.base.digest"] == "sha256:1"
    assert (made.dockerfile, made.target) == (file, "stage")
    assert dict(made.labels)["org.opencontainers.image.revision"] == "abc"


@pytest.mark.parametrize(
    ("mount", "refused"),
    [
        ("--mount=type=secret,id=ca-bundle", True),
        ("--mount=type=secret,id=ca-bundle --mount=type=bind,from=ca-bundle,target=/x", False),
        ("--mount=type=secret,id=other", False),
    ],
)
def test_steps_that_expect_a_large_bundle_as_a_secret_are_one_line(
    tmp_path: Path, mount: str, refused: bool
) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(f"FROM scratch AS ca-bundle\nFROM x\nRUN {mount} true\n")
    large = specs.make(dockerfile=file, context=tmp_path, contexts=(("ca-bundle", tmp_path),))
    if refused:
        with pytest.raises(UsageError, match=r"^Dockerfile: the CA bundle has more than 500 KiB"):
            build_inputs.add_fingerprint_label(large, tmp_path)
    else:
        build_inputs.add_fingerprint_label(large, tmp_path)
    build_inputs.add_fingerprint_label(specs.change(large, contexts=()), tmp_path)
