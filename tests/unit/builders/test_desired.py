from __future__ import annotations

import pytest

from build_tasks.builders import desired, drift
from build_tasks.model.builder import Builder, Driver, Node, default_builder
from build_tasks.model.matrix import Platform


@pytest.mark.parametrize(
    "registry", ["127.0.0.1:5000", "localhost", "localhost:5000", "[::1]:5000"]
)
def test_a_loopback_registry_needs_the_hosts_network(registry: str) -> None:
    made = desired.for_registry(registry, default_builder("a"), "stand-in:1")
    assert dict(made.nodes[0].options) == {"image": "stand-in:1", "network": "host"}
    assert made.insecure == (registry,)
    assert drift.flatten_toml(desired.buildkitd_toml(made)) == {
        f"registry.{registry}.http": "true",
        f"registry.{registry}.insecure": "true",
    }


def test_what_a_user_chose_stays() -> None:
    near = Node("a0", options=(("network", "own"), ("image", "mine:1")))
    far = Node("far", "ssh://x", (Platform.ARM64,))
    made = desired.for_registry("127.0.0.1:5000", Builder("a", nodes=(near, far)), "stand-in:1")
    assert [dict(node.options) for node in made.nodes] == [
        {"network": "own", "image": "mine:1"},
        {},
    ]
    assert desired.for_registry("ghcr.io", default_builder("a"), "") == default_builder("a")
    remote = Builder("a", Driver.REMOTE, (Node("a0", "tcp://x:1"),))
    assert desired.for_registry("127.0.0.1:5000", remote, "x") == remote
    assert desired.buildkitd_toml(default_builder("a")) == ""
