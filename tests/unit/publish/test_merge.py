from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import specs

from build_tasks import process
from build_tasks.buildx import imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import (
    AuthError,
    EngineError,
    ImagesError,
    MissingImage,
    RegistryError,
    VerificationError,
)
from build_tasks.model.build import BuildSpec, DigestFile, Output
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.process import Command, Completed
from build_tasks.publish.merge import Merge, merge_lines, resume_hint, shell_lines

CLIENT = Client("docker", ("docker-buildx",), {})
AMD64, ARM64 = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


SOURCES = (
    DigestFile(Build(ImageKind.CI, "3.11", Platform.AMD64), "r/i", "3.3.2", "", AMD64),
    DigestFile(Build(ImageKind.CI, "3.11", Platform.ARM64), "r/i", "3.3.2", "", ARM64),
)


def merge(*tags: str) -> str:
    return Merge("b", SOURCES, tags or ("r/i:a",)).run(CLIENT)


def image(architecture: str, digest: str) -> dict[str, Any]:
    return {"digest": digest, "platform": {"os": "linux", "architecture": architecture}}


def attestation(about: str) -> dict[str, Any]:
    return {
        "digest": "sha256:a",
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": about,
        },
    }


def index(*entries: dict[str, Any], **annotations: str) -> str:
    return json.dumps({"manifests": entries, "annotations": annotations or None})


ONE = index(image("amd64", "sha256:x"), attestation("sha256:x"), title="t", version="1")
OTHER = index(image("arm64", "sha256:y"), attestation("sha256:y"), title="t", version="2")
MERGED = index(
    image("amd64", "sha256:x"),
    attestation("sha256:x"),
    image("arm64", "sha256:y"),
    attestation("sha256:y"),
)


class Registry:
    """Fake registry, and fake buildx that writes to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **images: str) -> None:
        self.images: Mapping[str, str] = {
            f"r/i@{AMD64}": images.get("amd64", ONE),
            f"r/i@{ARM64}": images.get("arm64", OTHER),
            "r/i:a": images.get("merged", MERGED),
        }
        self.commands: list[Command] = []
        self.ended = (0, "")
        monkeypatch.setattr(imagetools, "inspect", lambda _, name, *__, **___: self.images[name])
        monkeypatch.setattr(process, "stream", self.stream)

    def stream(self, command: Command, **_: object) -> Completed:
        self.commands.append(command)
        return Completed(command, self.ended[0], "", self.ended[1])


def test_images_are_merged_with_their_common_annotations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Registry(monkeypatch)
    digest = merge("r/i:a", "r/i:b")
    assert registry.commands == [
        (
            *("docker-buildx", "imagetools", "create", "--builder", "b", "--progress", "plain"),
            *("--annotation", "index:title=t", "--tag", "r/i:a", "--tag", "r/i:b"),
            *(f"r/i@{AMD64}", f"r/i@{ARM64}"),
        )
    ]
    assert digest == f"sha256:{hashlib.sha256(MERGED.encode()).hexdigest()}"


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (OTHER, "has linux/arm64, expected only linux/amd64"),
        (index(), "has no platform, expected only linux/amd64"),
        (
            index(image("amd64", "sha256:x"), image("amd64", "sha256:z")),
            "has linux/amd64, linux/amd64, expected only linux/amd64",
        ),
    ],
)
def test_a_source_of_another_platform_is_refused(
    monkeypatch: pytest.MonkeyPatch, held: str, message: str
) -> None:
    registry = Registry(monkeypatch, amd64=held)
    with pytest.raises(VerificationError) as caught:
        merge()
    assert str(caught.value) == f"ci-3.11-amd64: r/i@{AMD64} {message}"
    assert registry.commands == []


@pytest.mark.parametrize(
    ("merged", "message"),
    [
        (ONE, "r/i:a: has linux/amd64, expected linux/amd64, linux/arm64: another run pushed it"),
        (
            index(image("amd64", "sha256:x"), image("arm64", "sha256:y"), attestation("sha256:x")),
            "r/i:a: lacks the attestations of sha256:y",
        ),
    ],
)
def test_the_result_is_checked(monkeypatch: pytest.MonkeyPatch, merged: str, message: str) -> None:
    Registry(monkeypatch, merged=merged)
    with pytest.raises(VerificationError) as caught:
        merge()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (
            MissingImage("r/i: not found"),
            MissingImage,
            f"ci-3.11-amd64: the registry no longer has r/i@{AMD64}: build it again",
        ),
        (AuthError("r/i: denied"), AuthError, "r/i: denied"),
        (
            RegistryError("r/i: from remote: not found"),
            RegistryError,
            "r/i: from remote: not found",
        ),
    ],
)
def test_a_source_that_cannot_be_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch, answer: ImagesError, error: type[ImagesError], message: str
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise answer

    monkeypatch.setattr(imagetools, "inspect", refuse)
    with pytest.raises(error) as caught:
        merge()
    assert str(caught.value) == message


def test_a_refused_merge_has_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(monkeypatch)
    registry.ended = (1, "ERROR: failed to push r/i:a: 403 Forbidden")
    with pytest.raises(AuthError, match="merging r/i:a: "):
        merge()


def parts(*, refused: EngineError | None = None) -> list[BuildSpec]:
    """The builds of an image for two platforms, of which the second one may be refused."""
    return [
        specs.make(
            platform=source.build.platform,
            image="r/i",
            kind=Output.DIGEST,
            tags=("r/i:a",),
            digest_file=replace(source, digest=""),
            refused=refused if source is SOURCES[1] else None,
        )
        for source in SOURCES
    ]


def test_a_dry_run_says_the_builds_and_the_merge() -> None:
    first, second, last = shell_lines(CLIENT, parts())
    assert first.startswith("docker-buildx build ")
    assert "--platform linux/arm64" in second
    assert last == (
        "# docker-buildx imagetools create --builder default --progress plain --tag r/i:a "
        "r/i@DIGEST-OF-ci-3.11-amd64 r/i@DIGEST-OF-ci-3.11-arm64"
    )


def test_a_build_that_cannot_run_is_neither_shown_nor_merged() -> None:
    _, refused, last = shell_lines(CLIENT, parts(refused=EngineError("no node")))
    assert refused == "# ci-3.11-arm64 cannot be built: no node"
    assert last.endswith("--tag r/i:a r/i@DIGEST-OF-ci-3.11-amd64")


def test_what_has_no_tag_is_not_merged() -> None:
    assert [*merge_lines(CLIENT, [specs.change(spec, tags=()) for spec in parts()])] == []
    assert [*merge_lines(CLIENT, [specs.make()])] == []


@pytest.mark.parametrize(
    ("slim", "folder", "options"),
    [
        (False, None, ""),
        (True, Path("/d d"), " --prod-profile slim --digests '/d d'"),
    ],
)
def test_what_was_pushed_is_kept_and_the_rest_can_be_built(
    slim: bool, folder: Path | None, options: str
) -> None:
    build = replace(SOURCES[0].build, slim=slim)
    pushed = [replace(SOURCES[0], build=build)]
    hint = resume_hint(folder, pushed, parts()[1:], ("r/i:a", "r/i:b"))
    assert hint == (
        f"kept: {build.identity} {AMD64}; the rest, with the same other options: "
        "airflow-images image.build --kind ci --python 3.11 --platform linux/arm64 "
        f"--push-by-digest{options}; "
        f"airflow-images image.merge --kind ci --python 3.11 --tag a,b{options}"
    )


def test_the_rest_of_an_own_image_is_built_by_its_name() -> None:
    build = replace(SOURCES[0].build, name="dags")
    hint = resume_hint(None, [replace(SOURCES[0], build=build)], parts()[1:], ("r/i:a",))
    assert "image.build --kind dags --python 3.11 --platform linux/arm64" in hint
    assert hint.endswith("image.merge --kind dags --python 3.11 --tag a")


def test_without_a_tag_there_is_nothing_to_merge() -> None:
    hint = resume_hint(None, SOURCES[:1], parts()[1:], ())
    assert hint.endswith(
        "image.build --kind ci --python 3.11 --platform linux/arm64 --push-by-digest"
    )
