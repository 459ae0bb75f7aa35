"""Images that are what a build would make are taken, and everything else is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import specs
from registries import BASE, DOCKERFILE, MADE, Registry

from build_tasks import process
from build_tasks.buildx.imagetools import RegistryTimeout
from build_tasks.buildx.toolchain import Client
from build_tasks.check import image_metadata, reuse
from build_tasks.check.image_metadata import ImageIndex, PlatformImage
from build_tasks.errors import CommandTimeout, ImagesError, NetworkError
from build_tasks.history.record import Reuse
from build_tasks.inputs import dockerfile, fingerprint
from build_tasks.inputs.fingerprint import LABEL
from build_tasks.model.build import BuildSpec, Candidate, Output, ReusePlan
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed

CLIENT = Client("docker", ("docker-buildx",), {})
NOW = fingerprint.gather(dockerfile.parse("FROM b:2\nRUN x\n"), {"BASE_IMAGE": "b:2"}, {})
OWN = ReusePlan((Candidate("r/i:v2"), Candidate("r/i:latest")), 60)
SPEC = specs.make(
    image="r/i",
    tags=("r/i:v2",),
    kind=Output.PUSH,
    content=NOW,
    arguments=(("BASE_IMAGE", "b:2"),),
    reuse=OWN,
)
ARM64 = specs.change(SPEC, platform=Platform.ARM64)


def index(*platforms: str, layers: tuple[str, ...] = ("1", "2"), label: str = "") -> ImageIndex:
    label = label or NOW.fingerprint
    images = {
        f"linux/{name}": PlatformImage(f"sha256:{name}", {LABEL: label}, layers)
        for name in platforms
    }
    return ImageIndex("sha256:index", images)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> dict[str, ImageIndex]:
    """A registry that has the base image."""
    images = {"b:2": index("amd64", "arm64", layers=("1",))}

    def of_registry(_: Client, reference: str, builder: str) -> ImageIndex:
        if reference == "silent":
            raise NetworkError("no answer")
        return images.get(reference, ImageIndex())

    monkeypatch.setattr(image_metadata, "of_registry", of_registry)
    return images


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[Command]:
    """The commands that were run; those with the word `fails` fail, those with `slow` are slow."""
    found: list[Command] = []

    def run(command: Command, **_: Any) -> Completed:
        found.append(command)
        words = " ".join(command)
        if "slow" in words:
            raise CommandTimeout("no end")
        return Completed(command, int("fails" in words), "", "ERROR: denied")

    monkeypatch.setattr(process, "run", run)
    return found


def taken(*builds: BuildSpec) -> str:
    """Return the digest of the image that is taken, or ""."""
    return reuse.take(CLIENT, builds)[-1].digest


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("reference", ["r/i:v2", "r/i:latest"])
def test_the_requested_and_the_default_tag_are_looked_up(
    own: dict[str, ImageIndex], reference: str
) -> None:
    own[reference] = index("amd64")
    assert taken(SPEC) == "sha256:amd64"


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize(
    ("found", "digest"),
    [
        (index("amd64", "arm64"), "sha256:index"),
        (index("amd64"), ""),
        (index("amd64", "arm64", "riscv64"), ""),
    ],
)
def test_an_image_of_several_platforms_has_exactly_these(
    own: dict[str, ImageIndex], found: ImageIndex, digest: str
) -> None:
    own["r/i:v2"] = found
    assert taken(SPEC, ARM64) == digest


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"r/i:v2": index("amd64", label="2 another")}, "changed since it was built: inputs"),
        ({"r/i:v2": index("amd64", layers=("9",))}, "changed since it was built: base"),
        ({"r/i:v2": index("arm64")}, "not found for linux/amd64"),
        ({"r/i:v2": index("amd64"), "b:2": ImageIndex()}, "b:2: not found for linux/amd64"),
        ({}, "not found for linux/amd64"),
    ],
)
def test_anything_else_is_built(
    own: dict[str, ImageIndex], changes: Mapping[str, ImageIndex], why: str
) -> None:
    own |= changes
    first, second = reuse.take(CLIENT, [SPEC])
    assert (first.reference, first.digest, first.reason) == ("r/i:v2", "", why)
    assert (second.reference, second.digest) == ("r/i:latest", "")


@pytest.mark.usefixtures("commands")
def test_a_registry_that_does_not_answer_has_no_image(own: dict[str, ImageIndex]) -> None:
    own["r/i:latest"] = index("amd64")
    plan = ReusePlan((Candidate("silent"), Candidate("r/i:latest")))
    first, second = reuse.take(CLIENT, [specs.change(SPEC, reuse=plan)])
    assert (first.reason, second.digest) == ("no answer", "sha256:amd64")


def test_an_unchanged_image_gets_the_tags(
    own: dict[str, ImageIndex], commands: list[Command]
) -> None:
    own["r/i:v2"] = index("amd64")
    assert taken(SPEC) == "sha256:amd64"
    assert commands[0][-3:] == ("--tag", "r/i:v2", "r/i@sha256:amd64")
    for tag in ("r/fails:1", "r/slow:1"):
        refusing = specs.change(SPEC, tags=(tag,))
        with pytest.raises(ImagesError, match=r"^ci-3.11-amd64: sha256:amd64 cannot be tagged: "):
            reuse.take(CLIENT, [refusing])


# The image of a branch, which is read by digest.

ARGUMENTS = {"BASE_IMAGE": "b:1"}
BUILT = fingerprint.gather(dockerfile.parse(DOCKERFILE), ARGUMENTS, {})
TABLE = {"set": "by the build", LABEL: BUILT.fingerprint}
COMMIT = {
    "org.apache.airflow.main-image.commit-sha": "c" * 40,
    "org.opencontainers.image.revision": "c" * 40,
}
LABELS = {"of": "base", "own": "1", **TABLE, **COMMIT}
MAIN = Candidate("r/main:latest", "r/main:cache")
BRANCH = specs.make(
    image="r/mine",
    tags=("r/mine:a", "r/mine:b"),
    content=BUILT,
    arguments=(("BASE_IMAGE", "b:1"), ("COMMIT_SHA", "d" * 40)),
    labels=tuple(TABLE.items()),
    reuse=ReusePlan((MAIN,), 60),
)
LAYERS = ("b0", "make", "opt", "files")
CHAIN = [("b0", -1), ("make", 0), ("opt", 1), ("files", 2)]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry with the image, the cache and the base of the main branch."""
    registry = Registry()
    registry.patch(monkeypatch)
    registry.image("b:1", BASE, ["b0"])
    amd64 = registry.image("r/main:amd64", {**MADE, "Labels": LABELS}, LAYERS)
    registry.index("r/main:latest", amd64=amd64)
    registry.cache("r/main:cache", CHAIN)
    return registry


def look(spec: BuildSpec = BRANCH, *more: BuildSpec) -> Reuse:
    (looked,) = reuse.take(CLIENT, [spec, *more])
    return replace(looked, seconds=0)


def test_the_image_of_a_branch_is_pulled_by_digest(
    registry: Registry, commands: list[Command]
) -> None:
    looked = look()
    assert looked == Reuse("r/main:latest", looked.digest, reuse.PROVEN)
    assert looked.text.startswith(f"reused r/main@{looked.digest}: its inputs, base image and ")
    by_digest = f"r/main@{looked.digest}"
    assert registry.texts[by_digest] == registry.texts["r/main:amd64"]
    assert commands == [
        ("docker", "pull", "--quiet", "--platform", "linux/amd64", by_digest),
        ("docker", "tag", by_digest, "r/mine:a"),
        ("docker", "tag", by_digest, "r/mine:b"),
    ]
    assert registry.asked.count("r/main:latest") == 1  # after that it is known by its digest


def test_the_image_of_a_branch_is_tagged_in_the_registry(
    registry: Registry, commands: list[Command]
) -> None:
    looked = look(specs.change(BRANCH, kind=Output.PUSH))
    (command,) = commands
    assert command[-5:] == ("--tag", "r/mine:a", "--tag", "r/mine:b", f"r/main@{looked.digest}")


def test_an_image_of_several_platforms_is_taken_as_a_whole(
    registry: Registry, commands: list[Command]
) -> None:
    arm64 = registry.image("r/main:arm64", {**MADE, "Labels": LABELS}, LAYERS, platform="arm64")
    amd64 = registry.image("r/main:amd64", {**MADE, "Labels": LABELS}, LAYERS)
    registry.image("b:arm64", BASE, ["b0"], platform="arm64")
    bases = {name: registry.image(f"b:{name}", BASE, ["b0"], platform=name) for name in PLATFORMS}
    registry.index("b:1", **bases)
    builds = [
        specs.change(BRANCH, kind=Output.DIGEST, platform=platform)
        for platform in (Platform.AMD64, Platform.ARM64)
    ]
    digest = registry.index("r/main:latest", amd64=amd64, arm64=arm64)
    assert look(*builds).digest == digest
    registry.index("r/main:latest", amd64=amd64, arm64=arm64, s390x=arm64)
    assert look(*builds).reason == (
        "it is for linux/amd64, linux/arm64, linux/s390x, not for linux/amd64, linux/arm64"
    )
    assert len(commands) == 1


PLATFORMS = ("amd64", "arm64")


def forge(registry: Registry, layers: Any = LAYERS, **config: Any) -> None:
    whole = {**MADE, "Labels": LABELS, **config}
    amd64 = registry.image("r/main:amd64", whole, layers)
    registry.index("r/main:latest", amd64=amd64)


def stale(registry: Registry) -> None:
    forge(registry, Labels={**LABELS, LABEL: BUILT.fingerprint.replace("files=", "files=0")[:-1]})


def moved_base(registry: Registry) -> None:
    registry.image("b:1", BASE, ["b9"])


def other_platform(registry: Registry) -> None:
    registry.index("r/main:latest", arm64="sha256:1")


def lying_platform(registry: Registry) -> None:
    whole = {**MADE, "Labels": LABELS}
    digest = registry.image("r/main:amd64", whole, LAYERS, platform="arm64")
    registry.index("r/main:latest", amd64=digest)


def missing_manifest(registry: Registry) -> None:
    registry.index("r/main:latest", amd64="sha256:missing")


def other_answer(registry: Registry) -> None:
    registry.index("r/main:latest", amd64="sha256:other")
    registry.texts["r/main@sha256:other"] = registry.texts["r/main:amd64"]


def no_manifest(registry: Registry) -> None:
    registry.put("r/main:latest", {"layers": [1]})


def no_configuration(registry: Registry) -> None:
    config = registry.put("r/main:config", {"config": {"Env": 1}})
    registry.put("r/main:latest", {"config": {"digest": config}, "layers": []})


def forged_layer(registry: Registry) -> None:
    forge(registry, ("b0", "evil", "opt", "files"))


def forged_entrypoint(registry: Registry) -> None:
    forge(registry, Entrypoint=["/evil"])


def no_cache(registry: Registry) -> None:
    del registry.texts["r/main:cache"]


def other_cache(registry: Registry) -> None:
    registry.cache("r/main:cache", [("b0", -1)])


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (stale, "changed since it was built: files"),
        (moved_base, "changed since it was built: base"),
        (other_platform, "has no image for linux/amd64, only for linux/arm64"),
        (lying_platform, "has no image for linux/amd64, only for linux/arm64"),
        (missing_manifest, "r/main@sha256:missing: not found"),
        (other_answer, "r/main@sha256:other: the registry's answer is sha256:"),
        (no_manifest, "is not an image's manifest"),
        (no_configuration, "is not a configuration"),
        (forged_layer, "its layer blob-evil is not in the cache (sha256:"),
        (forged_entrypoint, "its configuration is not the Dockerfile's: Entrypoint (sha256:"),
        (no_cache, "r/main:cache: not found"),
        (other_cache, "its layer blob-make is not in the cache"),
    ],
)
def test_any_doubt_is_a_reason_to_build(
    registry: Registry, commands: list[Command], damage: Any, why: str
) -> None:
    damage(registry)
    looked = look()
    assert looked.digest == ""
    assert why in looked.reason
    assert looked.text == f"not reused: r/main:latest: {looked.reason}"
    assert commands == []


@pytest.mark.parametrize("value", [1, [1], "x", {"x": 1}, [[]], True])
@pytest.mark.parametrize("name", [*MADE, "Labels", "OnBuild", "Healthcheck"])
@pytest.mark.parametrize("reference", ["r/main:latest", "b:1"])
def test_a_configuration_of_any_form_is_no_error(
    registry: Registry, commands: list[Command], reference: str, name: str, value: object
) -> None:
    if reference == "b:1":
        registry.image("b:1", {**BASE, name: value}, ["b0"])
    else:
        forge(registry, **{name: value})
    taken = bool(look().digest)
    assert taken is bool(commands)
    assert not taken or reference == "b:1" or name == "ArgsEscaped"


@pytest.mark.parametrize("document", [1, [], {}, {"config": []}, {"config": {"digest": "x"}}])
@pytest.mark.parametrize("reference", ["r/main:latest", "r/main:cache", "b:1"])
def test_a_manifest_of_any_form_is_no_error(
    registry: Registry, commands: list[Command], reference: str, document: object
) -> None:
    registry.put(reference, document)
    assert look().digest == ""
    assert commands == []


def test_a_cache_that_is_in_no_registry_compares_nothing(registry: Registry) -> None:
    plan = ReusePlan((replace(MAIN, cache=""),), 60)
    assert "the branch's cache is in no registry" in look(specs.change(BRANCH, reuse=plan)).reason


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("FROM b:1\nCOPY a /\n", "stands on b:1, not on BASE_IMAGE"),
        ("ARG BASE_IMAGE\nFROM $BASE_IMAGE\nONBUILD RUN x\n", "that are not understood"),
    ],
)
def test_a_dockerfile_that_cannot_be_compared_is_built(
    registry: Registry, text: str, why: str
) -> None:
    arguments = (("BASE_IMAGE", "b:0"),) if "b:1\n" in text else (("BASE_IMAGE", "b:1"),)
    built = fingerprint.gather(dockerfile.parse(text), dict(arguments), {})
    registry.image("b:0", BASE, ["b0"])
    forge(registry, Labels={**LABELS, LABEL: built.fingerprint})
    spec = specs.change(BRANCH, content=built, arguments=arguments)
    assert why in look(spec).reason


@pytest.mark.parametrize("word", ["slow", "fails"])
def test_what_fails_at_the_end_is_a_reason_to_build(
    registry: Registry, commands: list[Command], word: str
) -> None:
    for reference, text in [*registry.texts.items()]:
        registry.texts[reference.replace("r/main", f"r/{word}")] = text
    plan = ReusePlan((Candidate(f"r/{word}:latest", "r/main:cache"),), 60)
    looked = look(specs.change(BRANCH, reuse=plan))
    assert (looked.digest, looked.late) == ("", word == "slow")
    assert "it was not there within 60 s" in looked.reason or "denied" in looked.reason
    assert [command[1] for command in commands] == ["pull"]


def test_a_deadline_that_is_over_ends_all(registry: Registry) -> None:
    looked = look(specs.change(BRANCH, reuse=ReusePlan((MAIN,), 1e-9)))
    assert (looked.reason, looked.late) == ("it was not there within 1e-09 s", True)
    registry.texts["r/main:latest"] = RegistryTimeout("r/main:latest: no answer")
    looked = look()
    assert (looked.reason, looked.late) == ("no answer", True)
    assert registry.asked[-1] == "r/main:latest"


def test_the_next_branch_is_looked_at(registry: Registry, commands: list[Command]) -> None:
    base = Candidate("r/v3:latest", "r/v3:cache")
    first, second = reuse.take(CLIENT, [specs.change(BRANCH, reuse=ReusePlan((base, MAIN), 60))])
    assert (first.reference, first.reason) == ("r/v3:latest", "not found")
    assert (second.reference, bool(second.digest)) == ("r/main:latest", True)
    assert commands
