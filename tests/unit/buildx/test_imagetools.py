from __future__ import annotations

import hashlib
import json

import pytest

from build_tasks import process
from build_tasks.buildx import imagetools
from build_tasks.buildx.imagetools import Index, RegistryTimeout
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import (
    AuthError,
    CommandTimeout,
    ImagesError,
    MissingImage,
    NetworkError,
    RegistryError,
)
from build_tasks.process import Command, Completed

CLIENT = Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": "/c"})


def test_create_is_one_command() -> None:
    assert imagetools.create_command(
        CLIENT, "b", tags=("i:1", "i:2"), sources=("i@x",), annotations={"v": "2", "a": "1"}
    ) == (
        *("docker-buildx", "imagetools", "create", "--builder", "b", "--progress", "plain"),
        *("--annotation", "index:a=1", "--annotation", "index:v=2"),
        *("--tag", "i:1", "--tag", "i:2", "i@x"),
    )


def test_an_index_lists_platforms_and_attestations() -> None:
    attestation = {
        "digest": "sha256:b",
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": "sha256:a",
        },
    }
    image = {"digest": "sha256:a", "platform": {"os": "linux", "architecture": "amd64"}}
    document = {
        "manifests": [image, attestation, {"digest": "sha256:c"}],
        "annotations": {"title": "t"},
    }
    raw = json.dumps(document)
    assert imagetools.parse_index(raw, "i") == Index(
        (("linux/amd64", "sha256:a"), ("unknown/unknown", "sha256:c")),
        frozenset({"sha256:a"}),
        {"title": "t"},
        f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}",
    )
    assert imagetools.parse_index('{"layers": []}', "i").platforms == ()


@pytest.mark.parametrize("raw", ["", "[]", "null", '{"manifests": [{}]}', "[" * 100_000])
def test_an_answer_that_is_not_a_manifest_is_one_line(raw: str) -> None:
    with pytest.raises(RegistryError, match=r"^i: the registry's answer is not a manifest$"):
        imagetools.parse_index(raw, "i")


def test_inspect_is_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        commands.append(command)
        return Completed(command, 0, "{}", "")

    monkeypatch.setattr(process, "run", run)
    assert imagetools.inspect(CLIENT, "a:1", "b") == "{}"
    inspect = ("docker-buildx", "imagetools", "inspect", "--builder", "b", "--raw", "a:1")
    assert commands == [inspect]


HEAD = 'failed to do request: Head "http://127.0.0.1:39085/v2/p/q/manifests/1"'


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ("r/i:1: not found", MissingImage, "r/i:1: not found"),
        (
            "httpReadSeeker: failed open: could not fetch content descriptor sha256:0e (text/html) "
            "from remote: not found",
            RegistryError,
            "r/i:1: the answer is a web page (HTML), not a registry's",
        ),
        (
            "httpReadSeeker: failed open: content at http://r/v2/i/manifests/sha256:00 not found: "
            "not found",
            RegistryError,
            "r/i:1: httpReadSeeker: failed open: content at ",
        ),
        (
            "pull access denied, repository does not exist or may require authorization: "
            "authorization failed: no basic auth credentials",
            AuthError,
            "r/i:1: pull access denied, ",
        ),
        (f"{HEAD}: stopped after 10 redirects", RegistryError, "r/i:1: failed to do request: "),
        (f"{HEAD}: read: connection reset by peer", NetworkError, "r/i:1: failed to do request: "),
        (f"{HEAD}: x509: certificate signed by unknown authority", NetworkError, "r/i:1: failed "),
        ("unexpected EOF", NetworkError, "r/i:1: unexpected EOF"),
        ("invalid character 'z' looking for beginning of value", RegistryError, "r/i:1: invalid "),
    ],
)
def test_each_error_of_a_registry_has_its_class(
    monkeypatch: pytest.MonkeyPatch, output: str, error: type[ImagesError], message: str
) -> None:
    """As recorded from buildx 0.29."""
    monkeypatch.setattr(
        process, "run", lambda command, **_: Completed(command, 1, "", f"ERROR: {output}\n")
    )
    with pytest.raises(ImagesError) as caught:
        imagetools.inspect(CLIENT, "r/i:1")
    assert type(caught.value) is error
    assert str(caught.value).startswith(message)


def test_a_registry_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> Completed:
        raise CommandTimeout("no end after 10 s: docker-buildx imagetools")

    monkeypatch.setattr(process, "run", run)
    with pytest.raises(RegistryTimeout, match=r"^r/i:1: the registry did not answer within 10 s$"):
        imagetools.inspect(CLIENT, "r/i:1")


@pytest.mark.parametrize("name", ["r:1/i", "r:1/i:tag"])
def test_not_found_by_digest_is_confirmed_by_tag(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """containerd reports this for any error, because it looks for a blob of that digest."""
    reference = f"{name}@sha256:1"
    tag = "r:1/i:tag" if name.endswith(":tag") else "r:1/i:latest"
    answers = {reference: f"{name}: not found", tag: "unexpected status: 403 Forbidden"}
    requested: list[str] = []

    def run(command: Command, **_: object) -> Completed:
        requested.append(command[-1])
        return Completed(command, 1, "", f"ERROR: {answers[command[-1]]}\n")

    monkeypatch.setattr(process, "run", run)
    with pytest.raises(AuthError, match=f"^{tag}: unexpected status: 403 Forbidden"):
        imagetools.inspect(CLIENT, reference)
    answers[tag] = f"{tag}: not found"
    requested.clear()
    with pytest.raises(MissingImage):
        imagetools.inspect(CLIENT, reference)
    assert requested == [reference, tag, reference]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("i", "i"),
        ("r:1/a/i", "r:1/a/i"),
        ("r:1/a/i:tag", "r:1/a/i"),
        ("r:1/i@sha256:1", "r:1/i"),
        ("r/i:tag@sha256:1", "r/i"),
    ],
)
def test_the_name_of_an_image_has_no_tag(reference: str, name: str) -> None:
    assert imagetools.name_of(reference) == name


def test_what_is_fetched_by_digest_is_compared_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 0, "{}", ""))
    digest = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    assert imagetools.fetch(CLIENT, "r/i", digest) == "{}"
    with pytest.raises(RegistryError, match=f"^r/i@sha256:1: the registry's answer is {digest}$"):
        imagetools.fetch(CLIENT, "r/i", "sha256:1")
