from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from build_tasks import process
from build_tasks.buildx import imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import (
    AuthError,
    ImagesError,
    MissingImage,
    RegistryError,
    VerificationError,
)
from build_tasks.model.digest_file import DigestFile
from build_tasks.process import Command, Completed
from build_tasks.publish import merge

CLIENT = Client("docker", ("docker-buildx",), {})
AMD64, ARM64 = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def part(architecture: str, digest: str) -> DigestFile:
    return DigestFile(
        identity=f"ci-3.11-{architecture}",
        image="r/i",
        kind="ci",
        python="3.11",
        platform=f"linux/{architecture}",
        slim=False,
        airflow="3.3.2",
        commit="",
        digest=digest,
    )


PARTS = [part("amd64", AMD64), part("arm64", ARM64)]


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
    """Stands in for a registry, and for the buildx that writes to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **holds: str) -> None:
        self.holds: Mapping[str, str] = {
            f"r/i@{AMD64}": holds.get("amd64", ONE),
            f"r/i@{ARM64}": holds.get("arm64", OTHER),
            "r/i:a": holds.get("merged", MERGED),
        }
        self.commands: list[Command] = []
        self.ended = (0, "")
        monkeypatch.setattr(imagetools, "inspect", lambda _, name, __: self.holds[name])
        monkeypatch.setattr(process, "stream", self.stream)

    def stream(self, command: Command, **_: object) -> Completed:
        self.commands.append(command)
        return Completed(command, self.ended[0], "", self.ended[1])


def test_parts_are_joined_with_what_both_say_of_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Registry(monkeypatch)
    digest = merge.merge(CLIENT, "b", PARTS, ("r/i:a", "r/i:b"))
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
        (OTHER, "holds linux/arm64, and not just linux/amd64"),
        (index(), "holds nothing, and not just linux/amd64"),
        (
            index(image("amd64", "sha256:x"), image("amd64", "sha256:z")),
            "holds linux/amd64, linux/amd64, and not just linux/amd64",
        ),
    ],
)
def test_a_part_that_is_not_its_platform_is_refused(
    monkeypatch: pytest.MonkeyPatch, held: str, message: str
) -> None:
    registry = Registry(monkeypatch, amd64=held)
    with pytest.raises(VerificationError) as caught:
        merge.merge(CLIENT, "b", PARTS, ("r/i:a",))
    assert str(caught.value) == f"ci-3.11-amd64: r/i@{AMD64} {message}"
    assert registry.commands == []


@pytest.mark.parametrize("held", ["", "[]", '{"manifests": [{}]}', '{"layers": []}'])
def test_what_is_no_index_is_refused(monkeypatch: pytest.MonkeyPatch, held: str) -> None:
    Registry(monkeypatch, amd64=held)
    with pytest.raises(VerificationError, match=r"sha256:1+: is no index of images"):
        merge.merge(CLIENT, "b", PARTS, ("r/i:a",))


@pytest.mark.parametrize(
    ("merged", "message"),
    [
        (ONE, "r/i:a: holds linux/amd64, not linux/amd64, linux/arm64: somebody else has pushed"),
        (
            index(image("amd64", "sha256:x"), image("arm64", "sha256:y"), attestation("sha256:x")),
            "r/i:a: the attestations of sha256:y are lost",
        ),
    ],
)
def test_what_came_of_it_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, merged: str, message: str
) -> None:
    Registry(monkeypatch, merged=merged)
    with pytest.raises(VerificationError) as caught:
        merge.merge(CLIENT, "b", PARTS, ("r/i:a",))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (
            MissingImage("r/i: not found"),
            MissingImage,
            f"ci-3.11-amd64: the registry has r/i@{AMD64} no more: build it again",
        ),
        (AuthError("r/i: denied"), AuthError, "r/i: denied"),
        (
            RegistryError("r/i: from remote: not found"),
            RegistryError,
            "r/i: from remote: not found",
        ),
    ],
)
def test_a_part_that_cannot_be_had_is_one_line(
    monkeypatch: pytest.MonkeyPatch, answer: ImagesError, error: type[ImagesError], message: str
) -> None:
    def refuse(*_: object) -> str:
        raise answer

    monkeypatch.setattr(imagetools, "inspect", refuse)
    with pytest.raises(error) as caught:
        merge.merge(CLIENT, "b", PARTS, ("r/i:a",))
    assert str(caught.value) == message


def test_a_refused_merge_has_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(monkeypatch)
    registry.ended = (1, "ERROR: failed to push r/i:a: 403 Forbidden")
    with pytest.raises(AuthError, match="merging r/i:a: "):
        merge.merge(CLIENT, "b", PARTS, ("r/i:a",))
