from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from targets import target

from build_tasks.commands import images
from build_tasks.config.options import Options
from build_tasks.errors import UsageError, VerificationError
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.plan import build_host
from build_tasks.verify import archive, lookup, suite
from build_tasks.verify.target import Image

BUILD = Build(ImageKind.PROD, "3.11", Platform.AMD64)
IMAGE = Image("r/i:latest", {"Config": {"Labels": {"org.apache.airflow.version": "3.3.2"}}})
PASSED = {"check": "test_a", "outcome": "passed", "seconds": 1.0, "message": ""}
SKIPPED = {"check": "test_c", "outcome": "skipped", "seconds": 0.0, "message": ""}
FAILED = {"check": "test_b", "outcome": "failed", "seconds": 1.0, "message": "why\nand how"}


def results(monkeypatch: pytest.MonkeyPatch, *checks: dict[str, object]) -> None:
    monkeypatch.setattr(lookup, "to_verify", lambda *_, **__: target())
    monkeypatch.setattr(suite, "verify", lambda *_, **__: list(checks))


def test_the_first_failed_check_is_named_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results(monkeypatch, PASSED)
    images.verify_image(Options({}))
    assert capsys.readouterr().err == "i: passed 1 check\n"
    results(monkeypatch, PASSED, SKIPPED, SKIPPED)
    images.verify_image(Options({}))
    assert capsys.readouterr().err == "i: passed 1 check, skipped 2\n"
    results(monkeypatch, PASSED, FAILED)
    with pytest.raises(VerificationError, match=r"^i: 1 of 2 checks failed, first test_b: why$"):
        images.verify_image(Options({"json": True}))
    assert json.loads(capsys.readouterr().out) == {"image": "i", "checks": [PASSED, FAILED]}


def test_a_saved_image_has_the_name_of_its_build(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = SimpleNamespace(client=None)
    monkeypatch.setattr(lookup, "to_save", lambda *_, **__: (host, IMAGE, BUILD))
    monkeypatch.setattr(archive, "save", lambda *_: 2_500_000)
    images.save_image(Options({}))
    line = "prod-3.11-amd64: saved r/i:latest to prod-3.11-amd64.tar.zst, 2 MB\n"
    assert capsys.readouterr().err == line


@pytest.fixture
def archived(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with an image."""

    @contextlib.contextmanager
    def opened(_: str) -> Iterator[Iterator[bytes]]:
        yield iter([])

    def load(
        _client: object, _file: str, _chunks: object, accept: Callable[[Image, Build], None]
    ) -> tuple[Image, Build]:
        accept(IMAGE, BUILD)
        return IMAGE, BUILD

    monkeypatch.setattr(archive, "opened", opened)
    monkeypatch.setattr(archive, "load", load)
    monkeypatch.setattr(build_host, "find", lambda *_, **__: SimpleNamespace(client=None))


@pytest.mark.usefixtures("archived")
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"kind": "prod", "python": "3.9,3.11"}, ""),
        ({"platform": "arm64,amd64"}, ""),
        ({"kind": "ci"}, "kind prod, not ci"),
        ({"python": "3.9,3.12"}, "python 3.11, not 3.9, 3.12"),
        ({"platform": "arm64"}, "platform linux/amd64, not linux/arm64"),
    ],
)
def test_a_file_is_loaded_only_if_it_has_the_image_that_the_options_name(
    options: dict[str, str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = Options({"file": "f", **options})
    if problem:
        with pytest.raises(UsageError) as caught:
            images.load_image(given)
        assert str(caught.value) == f"f: is for {problem}"
        return
    images.load_image(given)
    assert capsys.readouterr().err.splitlines() == [
        "f: prod-3.11-amd64, Airflow 3.3.2 for linux/amd64",
        "prod-3.11-amd64: loaded r/i:latest",
    ]


@pytest.mark.usefixtures("archived")
def test_a_source_is_loaded_as_a_file_is(capsys: pytest.CaptureFixture[str]) -> None:
    images.load_image(Options({"from": "f"}))
    assert "f: prod-3.11-amd64, Airflow 3.3.2" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"^--from: f is given, too: leave one of them out$"):
        images.load_image(Options({"from": "g", "file": "f"}))


def test_a_file_to_load_must_be_named() -> None:
    with pytest.raises(UsageError, match=r"^name the file to load"):
        images.load_image(Options({}))
