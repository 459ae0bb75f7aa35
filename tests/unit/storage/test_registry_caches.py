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
def test_the_size_counts_each_layer_once(manifest: object) -> None:
    one = registry_caches.parse("r/i:cache", json.dumps(manifest))
    assert one.size == 120
    assert one.newest == datetime(2026, 11, 24, 21, 16, 15, 100000, tzinfo=UTC)
    other = registry_caches.parse(
        "r/j:cache", json.dumps({"layers": [layer("b", 20), layer("d", 3)]})
    )
    assert other.newest is None
    assert registry_caches.distinct_size([one, other]) == 123


@pytest.mark.parametrize("raw", ["", "[]", '{"layers": [{}]}'])
def test_another_manifest_is_one_line(raw: str) -> None:
    with pytest.raises(RegistryError, match="r/i:x: is not a cache of BuildKit"):
        registry_caches.parse("r/i:x", raw)


def test_a_missing_reference_is_none_and_an_error_is_returned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = MissingImage("r/i:x: not found")
    for error in (missing, RegistryError("from remote: not found"), AuthError("denied")):

        def refuse(*_: object, error: ImagesError = error) -> str:
            raise error

        monkeypatch.setattr(imagetools, "inspect", refuse)
        (answer,) = registry_caches.read_all(CLIENT, ["r/i:x"], "default")
        assert answer is (None if error is missing else error)


def test_a_silent_registry_is_queried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    queried: list[str] = []

    def inspect(_: Client, name: str, __: str) -> str:
        queried.append(name)
        if name.startswith("silent"):
            raise NetworkError(name)
        return json.dumps({"layers": [layer("sha256:a", 1)]})

    monkeypatch.setattr(imagetools, "inspect", inspect)
    first = next(registry_caches.read_all(CLIENT, ["silent/1", "silent/2"], "default"))
    assert isinstance(first, NetworkError)
    assert queried == ["silent/1"]
    names = [f"r/{number}" for number in range(20)]
    answers = [*registry_caches.read_all(CLIENT, names, "default")]
    assert [item.name for item in answers if isinstance(item, Reference)] == names
