"""Builders as values."""

from __future__ import annotations

from build_tasks.model import builder
from build_tasks.model.builder import Builder, Driver, Node
from build_tasks.model.matrix import Platform


def test_a_builder_that_is_not_configured_has_one_node_of_its_name() -> None:
    assert builder.default_builder("a") == Builder("a", Driver.CONTAINER, (Node("a0"),))


def test_each_value_of_a_builder_has_its_origin() -> None:
    node = Node("n", "ssh://h", (Platform.ARM64,), (("memory", "4g"),))
    mirrors = (("docker.io", ("mirror:5000",)),)
    origins = {"mirrors": "here", "nodes[0].endpoint": "there"}
    made = Builder("a", nodes=(node,), mirrors=mirrors, origins=origins)
    assert list(builder.setting_rows({"a": made})) == [
        ("builders.a.driver", "docker-container", "default"),
        ("builders.a.max-used-space", 0, "default"),
        ("builders.a.insecure-registries", (), "default"),
        ("builders.a.mirrors", {"docker.io": ["mirror:5000"]}, "here"),
        ("builders.a.nodes[0].name", "n", "default"),
        ("builders.a.nodes[0].endpoint", "ssh://h", "there"),
        ("builders.a.nodes[0].platforms", (Platform.ARM64,), "default"),
        ("builders.a.nodes[0].options", {"memory": "4g"}, "default"),
    ]


def test_where_a_value_comes_from_makes_no_other_builder() -> None:
    assert Builder("a", origins={"driver": "here"}) == Builder("a")
