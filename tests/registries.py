"""A registry as a table of texts, with an image of a branch, its base and its cache."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from build_tasks.buildx import imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError, MissingImage

DOCKERFILE = """\
ARG BASE_IMAGE
FROM scratch AS files
COPY a /a
FROM ${BASE_IMAGE} AS main
SHELL ["/bin/bash", "-c"]
RUN make
ENV A="x ${WHO}" PATH=/opt/bin:$PATH
ARG WHO
WORKDIR opt
WORKDIR /
COPY --link --from=files / /
EXPOSE 80
VOLUME /data
LABEL own=1
STOPSIGNAL SIGINT
USER 50000
ENTRYPOINT ["/run"]
CMD serve now
ARG COMMIT_SHA
ENV COMMIT_SHA=${COMMIT_SHA}
"""
COMMIT = "c" * 40
BASE: Mapping[str, Any] = {
    "Env": ["PATH=/bin", "LANG=C"],
    "Cmd": ["sh"],
    "Labels": {"of": "base"},
    "WorkingDir": "/srv",
}
MADE: Mapping[str, Any] = {
    "Env": ["PATH=/opt/bin:/bin", "LANG=C", "A=x ", f"COMMIT_SHA={COMMIT}"],
    "Shell": ["/bin/bash", "-c"],
    "WorkingDir": "/",
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/data": {}},
    "StopSignal": "SIGINT",
    "User": "50000",
    "Entrypoint": ["/run"],
    "Cmd": ["/bin/bash", "-c", "serve now"],
    "ArgsEscaped": True,
}


@dataclass
class Registry:
    """What a registry has, by reference; an error is raised."""

    texts: dict[str, str | ImagesError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def inspect(
            _client: Client, reference: str, _builder: str = "", _form: object = (), **_: object
        ) -> str:
            self.asked.append(reference)
            text = self.texts.get(reference, MissingImage(f"{reference}: not found"))
            if isinstance(text, ImagesError):
                raise text
            return text

        monkeypatch.setattr(imagetools, "inspect", inspect)

    def put(self, reference: str, document: object) -> str:
        """Store a document under a tag and under its digest, which is returned."""
        text = json.dumps(document)
        digest = imagetools.digest_of(text)
        self.texts[reference] = self.texts[f"{imagetools.name_of(reference)}@{digest}"] = text
        return digest

    def image(
        self,
        reference: str,
        config: Mapping[str, Any],
        layers: Sequence[str],
        *,
        platform: str = "amd64",
        blobs: Sequence[str] = (),
    ) -> str:
        """Store an image of one platform, whose blobs are named after the layers."""
        name = imagetools.name_of(reference)
        whole = {
            "os": "linux",
            "architecture": platform,
            "config": config,
            "rootfs": {"diff_ids": [*layers]},
        }
        digests = [{"digest": blob} for blob in blobs or [f"blob-{layer}" for layer in layers]]
        config_digest = self.put(f"{name}:config-{platform}", whole)
        return self.put(reference, {"config": {"digest": config_digest}, "layers": digests})

    def index(self, reference: str, **digests: str) -> str:
        """Store an index of images by their architecture."""
        entries = [
            {"digest": digest, "platform": {"os": "linux", "architecture": name}}
            for name, digest in digests.items()
        ]
        return self.put(reference, {"manifests": entries})

    def cache(self, reference: str, chain: Sequence[tuple[str, int]]) -> None:
        """Store a cache whose layers are pairs of a name and the position of the parent."""
        layers = [
            {"blob": f"blob-{layer}", **({"parent": parent} if parent else {})}
            for layer, parent in chain
        ]
        name = imagetools.name_of(reference)
        digest = self.put(f"{name}:cache-config", {"layers": layers})
        annotated = [
            {"digest": f"blob-{layer}", "annotations": {"containerd.io/uncompressed": layer}}
            for layer, _ in chain
        ]
        self.put(reference, {"config": {"digest": digest}, "layers": annotated})
