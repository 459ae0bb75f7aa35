from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from build_tasks.buildx import imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import AuthError, ImagesError, MissingImage, NetworkError, RegistryError
from build_tasks.storage import registry_caches
from build_tasks.storage.registry_caches import Reference

CLIENT = Client("docker", ("docker-buildx",), {})


def layer(digest: str, size: int, created: str = "") -> dict[str, object]:
    return {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": digest,
        "size": size,
        **({"annotations": {"buildkit/createdat": created}} if created else {}),
    }


CONFIG = {"mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": "c", "size": 9}
LAYERS = [
    layer("a", 100, "2026-11-24T21:16:14.859234341Z"),
    layer("b", 20, "2026-11-24T21:16:15.1Z"),
    layer("b", 20),
]


@pytest.mark.parametrize(
    "manifest", [{"config": CONFIG, "layers": LAYERS}, {"manifests": [*LAYERS, CONFIG]}]
)
def test_a_reference_costs_its_layers_each_counted_once(manifest: object) -> None:
    one = registry_caches.read("r/i:cache", json.dumps(manifest))
    assert one.size == 120
    assert one.newest == datetime(2026, 11, 24, 21, 16, 15, 100000, tzinfo=UTC)
    other = registry_caches.read(
        "r/j:cache", json.dumps({"layers": [layer("b", 20), layer("d", 3)]})
    )
    assert other.newest is None
    assert registry_caches.distinct([one, other]) == 123


@pytest.mark.parametrize("raw", ["", "[]", '{"layers": [{}]}'])
def test_what_is_no_cache_is_one_line(raw: str) -> None:
    with pytest.raises(RegistryError, match="r/i:x: is no cache that BuildKit wrote"):
        registry_caches.read("r/i:x", raw)


def test_a_reference_that_is_not_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(error: ImagesError) -> None:
        def refuse(*_: object) -> str:
            raise error

        monkeypatch.setattr(imagetools, "inspect", refuse)

    answer(MissingImage("r/i:x: not found"))
    assert registry_caches.ask(CLIENT, "r/i:x", "default") is None
    for other in (RegistryError("from remote: not found"), AuthError("denied")):
        answer(other)
        with pytest.raises(type(other)):
            registry_caches.ask(CLIENT, "r/i:x", "default")


def test_a_silent_registry_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(_: Client, name: str, __: str) -> str:
        asked.append(name)
        if name.startswith("silent"):
            raise NetworkError(name)
        return json.dumps({"layers": [layer("sha256:a", 1)]})

    monkeypatch.setattr(imagetools, "inspect", ask)
    first = next(registry_caches.ask_all(CLIENT, ["silent/1", "silent/2"], "default"))
    assert isinstance(first, NetworkError)
    assert asked == ["silent/1"]
    names = [f"r/{number}" for number in range(20)]
    answers = [*registry_caches.ask_all(CLIENT, names, "default")]
    assert [one.name for one in answers if isinstance(one, Reference)] == names
