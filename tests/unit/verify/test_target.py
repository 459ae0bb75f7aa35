from __future__ import annotations

import json
from dataclasses import replace

import pytest

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import (
    AuthError,
    DiskError,
    EngineError,
    ImagesError,
    RegistryError,
    UsageError,
    VerificationError,
)
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.model.own_image import OwnImage
from build_tasks.process import Command, Completed
from build_tasks.verify import target
from build_tasks.verify.target import Image

CLIENT = Client("docker", ("docker-buildx",), {})


def image(**labels: str) -> Image:
    named = {f"org.apache.airflow.{key.replace('_', '.')}": text for key, text in labels.items()}
    return Image("r/i:1", {"Os": "linux", "Architecture": "arm64", "Config": {"Labels": named}})


class Engine:
    """Fake process.run: the manifest in a registry, and the images of the engine after a pull."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, raw: object, *, pull: str = "") -> None:
        self.raw, self.pull, self.has = raw, pull, set[str]()
        self.silent = False
        monkeypatch.setattr(process, "run", self)

    def __call__(self, command: Command, **_: object) -> Completed:
        reference = command[-1]
        if command[1] == "image":
            if reference in self.has:
                return Completed(command, 0, '[{"Os": "linux"}]', "")
            return Completed(command, 1, "[]", f"Error: No such image: {reference}")
        if command[1] == "pull":
            if not self.silent:
                self.has.add(reference)
            return Completed(command, bool(self.pull), "", self.pull)
        return Completed(command, 0, json.dumps(self.raw), "")


def test_labels_identify_the_build() -> None:
    prod = image(image="airflow", python_version="3.11.9", version="3.3.2", slim="true")
    build = Build(ImageKind.PROD, "3.11", Platform.ARM64, slim=True)
    assert target.identify(prod, Platform.ARM64) == build
    assert (prod.platform, prod.python, prod.airflow) == ("linux/arm64", "3.11.9", "3.3.2")
    ci = image(image="airflow-ci", python_version="3.9")
    assert target.identify(ci, Platform.AMD64) == Build(ImageKind.CI, "3.9", Platform.AMD64)
    assert (ci.kind, ci.python, ci.airflow) == ("ci", "3.9", "")


def test_an_own_image_is_known_by_its_label_or_by_its_table() -> None:
    dags = image(image="airflow", image_name="dags", python_version="3.11", slim="true")
    build = Build(ImageKind.PROD, "3.11", Platform.ARM64, name="dags")
    assert target.identify(dags, Platform.ARM64) == build
    assert (dags.kind, dags.name) == ("prod", "dags")
    assert target.identify(dags, Platform.ARM64, "prod") == replace(build, name="", slim=True)
    images = {"tests": OwnImage("tests", base="ci"), "more": OwnImage("more", base="tests")}
    bare = image(python_version="3.11")
    found = target.identify(bare, Platform.ARM64, "more", images=images)
    assert found == Build(ImageKind.CI, "3.11", Platform.ARM64, name="more")
    with pytest.raises(UsageError, match=r"^--kind: unknown image 'mores': did you mean more"):
        target.identify(bare, Platform.ARM64, "mores", images=images)
    with pytest.raises(UsageError, match="--kind with one of ci, prod, tests, more"):
        target.identify(bare, Platform.ARM64, images=images)
    odd = image(image="airflow", image_name="../x", python_version="3.11")
    with pytest.raises(
        UsageError, match=r"label org\.apache\.airflow\.image\.name: expected a name of"
    ):
        target.identify(odd, Platform.ARM64)


def test_options_override_labels() -> None:
    ci = image(image="airflow-ci", python_version="3.9", version="3")
    build = Build(ImageKind.PROD, "3.11", Platform.AMD64)
    assert target.identify(ci, Platform.AMD64, "prod", "3.11") == build
    bare = Image("x", {"Config": None})
    assert target.identify(bare, Platform.AMD64, "prod", "3.11") == build
    assert (bare.platform, bare.labels, bare.config) == ("None/None", {}, {})


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (image(), None, r"r/i:1: no label says which image it is: add --kind with one of ci, prod"),
        (image(image="other"), None, r"no label says which image it is"),
        (image(image="airflow"), None, r"r/i:1: no label says which Python it has: add --python"),
        (image(python_version="3.11"), "dev", r"--kind: unknown image 'dev'"),
        (image(python_version="three"), "ci", r"--python: expected a Python version like 3.11, "),
    ],
)
def test_a_missing_label_is_one_line(image: Image, kind: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        target.identify(image, Platform.AMD64, kind)


def platform(digest: str, architecture: str, **more: str) -> dict[str, object]:
    return {"digest": digest, "platform": {"os": "linux", "architecture": architecture, **more}}


INDEX = {
    "manifests": [
        {"digest": "sha256:artifact"},
        platform("sha256:1", "arm64", variant="v8"),
        platform("sha256:2", "amd64"),
        {"digest": "sha256:3", "platform": {"os": "unknown", "architecture": "unknown"}},
    ]
}


@pytest.mark.parametrize(
    ("reference", "pulled"),
    [
        ("i", "i@sha256:1"),
        ("i:v1", "i@sha256:1"),
        ("host:5000/i", "host:5000/i@sha256:1"),
        ("host:5000/a/i:v1", "host:5000/a/i@sha256:1"),
        ("host:5000/i:v1@sha256:all", "host:5000/i@sha256:1"),
    ],
)
def test_the_manifest_of_the_platform_is_pulled(
    monkeypatch: pytest.MonkeyPatch, reference: str, pulled: str
) -> None:
    Engine(monkeypatch, INDEX)
    assert target.find(CLIENT, reference, Platform.ARM64).reference == pulled


def test_an_image_for_one_platform_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, {"config": {}})
    assert target.find(CLIENT, "i:1", Platform.ARM64).reference == "i:1"
    engine.raw = None  # the engine has it now: no registry is asked
    assert target.find(CLIENT, "i:1", Platform.AMD64).reference == "i:1"


def test_another_platform_is_not_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    Engine(monkeypatch, {"manifests": [platform("sha256:2", "amd64"), {"digest": "x"}]})
    with pytest.raises(UsageError) as caught:
        target.find(CLIENT, "i", Platform.ARM64)
    assert str(caught.value) == (
        "i: has no image for linux/arm64: choose --platform of linux/amd64"
    )


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        ("denied", RegistryError, "denied"),
        ("Error response from daemon: unauthorized: x", AuthError, "Error .*: x .*docker login"),
        ("write /data: no space left on device", DiskError, "write /data: no space"),
    ],
)
def test_a_failed_pull_has_its_class_and_its_reason(
    monkeypatch: pytest.MonkeyPatch, answer: str, error: type[ImagesError], reason: str
) -> None:
    Engine(monkeypatch, INDEX, pull=f"first\n{answer}\n")
    with pytest.raises(error, match=rf"^i@sha256:2: {reason}") as caught:
        target.find(CLIENT, "i", Platform.AMD64)
    assert type(caught.value) is error


def test_an_image_that_is_not_there_after_its_pull_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Engine(monkeypatch, INDEX).silent = True
    with pytest.raises(EngineError, match="does not have the image that it pulled"):
        target.find(CLIENT, "i", Platform.AMD64)


@pytest.mark.parametrize(
    ("stdout", "stderr", "message"),
    [
        ('["3.12", "3.3.2"]\n', "a warning\n", ""),
        ("", "Traceback\nPackageNotFoundError: apache-airflow\n", "PackageNotFoundError: apache-a"),
        ("", "", "python prints no version"),
    ],
)
def test_an_image_without_labels_is_asked_for_its_versions(
    monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str, message: str
) -> None:
    commands: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        commands.append(command)
        return Completed(command, 0, "" if command[1] == "ps" else stdout, stderr)

    monkeypatch.setattr(process, "run", run)
    if not message:
        assert target.versions(CLIENT, image()) == ("3.12", "3.3.2")
    else:
        with pytest.raises(VerificationError, match=f"^r/i:1: has no Airflow: {message}"):
            target.versions(CLIENT, image())
    assert commands[0][-2:] == ("r/i:1", "-")
