from __future__ import annotations

import json

import pytest

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError, RegistryError, UsageError
from build_tasks.model.matrix import ImageKind, Platform
from build_tasks.process import Command, Completed
from build_tasks.verify import target
from build_tasks.verify.target import Image, Said

CLIENT = Client("docker", ("docker-buildx",), {})


def image(**labels: str) -> Image:
    named = {f"org.apache.airflow.{key.replace('_', '.')}": text for key, text in labels.items()}
    return Image("r/i:1", {"Os": "linux", "Architecture": "arm64", "Config": {"Labels": named}})


class Engine:
    """Stands in for process.run: a registry's manifest, and what the engine has after a pull."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, raw: object, *, pull: int = 0) -> None:
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
            return Completed(command, self.pull, "", "first\ndenied\n" if self.pull else "")
        return Completed(command, 0, json.dumps(self.raw), "")


def test_labels_say_what_an_image_is() -> None:
    one = image(image="airflow", python_version="3.11.9", version="3.3.2", slim="true")
    assert target.said(one, None, None) == Said(ImageKind.PROD, "3.11", "3.3.2", True)
    one = image(image="airflow-ci", python_version="3.9")
    assert target.said(one, None, None) == Said(ImageKind.CI, "3.9", "", False)
    assert (one.platform, one.python) == ("linux/arm64", "3.9")


def test_a_person_knows_better() -> None:
    one = image(image="airflow-ci", python_version="3.9", version="3")
    assert target.said(one, "prod", "3.11") == Said(ImageKind.PROD, "3.11", "3", False)
    bare = Image("x", {"Config": None})
    assert target.said(bare, "ci", "3.11") == Said(ImageKind.CI, "3.11", "", False)
    assert (bare.platform, bare.labels, bare.config) == ("None/None", {}, {})


@pytest.mark.parametrize(
    ("one", "kind", "said"),
    [
        (image(), None, r"r/i:1: no label says which image it is: add --kind with one of ci, prod"),
        (image(image="other"), None, r"no label says which image it is"),
        (image(image="airflow"), None, r"r/i:1: no label says which Python it has: add --python"),
        (image(python_version="3.11"), "dev", r"--kind: unknown image 'dev'"),
        (
            image(python_version="three"),
            "ci",
            r"--python: expected a Python version like ",
        ),
    ],
)
def test_what_nobody_says_is_asked_for(one: Image, kind: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        target.said(one, kind, None)


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
def test_the_platforms_own_manifest_is_pulled(
    monkeypatch: pytest.MonkeyPatch, reference: str, pulled: str
) -> None:
    Engine(monkeypatch, INDEX)
    assert target.find(CLIENT, reference, Platform.ARM64).reference == pulled


def test_an_image_for_one_platform_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, {"config": {}})
    assert target.find(CLIENT, "i:1", Platform.ARM64).reference == "i:1"
    engine.raw = None  # it is there now: no registry is asked
    assert target.find(CLIENT, "i:1", Platform.AMD64).reference == "i:1"


def test_another_platform_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Engine(monkeypatch, {"manifests": [platform("sha256:2", "amd64"), {"digest": "x"}]})
    with pytest.raises(UsageError) as caught:
        target.find(CLIENT, "i", Platform.ARM64)
    assert str(caught.value) == ("i: has nothing for linux/arm64: choose --platform of linux/amd64")


def test_a_pull_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, INDEX, pull=1)
    with pytest.raises(RegistryError, match=r"^i@sha256:2: denied$"):
        target.find(CLIENT, "i", Platform.AMD64)
    engine.pull, engine.has, engine.silent = 0, set(), True
    with pytest.raises(EngineError, match="pulled it and does not have it"):
        target.find(CLIENT, "i", Platform.AMD64)
