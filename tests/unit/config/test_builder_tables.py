"""The tables [builders.NAME]: what they mean, and a mistake in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.model import builder
from build_tasks.model.builder import Builder, Driver, Node
from build_tasks.model.matrix import Platform


def load(folder: Path, text: str) -> Settings:
    path = folder / "images.toml"
    path.write_text(text)
    return loading.load(environment={}, file=path)


def test_a_builder_is_a_container_unless_something_else_is_said(tmp_path: Path) -> None:
    loaded = load(tmp_path, "[builders.mine]")
    assert dict(loaded.builders) == {"mine": Builder("mine", nodes=(Node("mine0"),))}
    assert loaded.builder_named("mine") == builder.default_builder("mine")
    assert loaded.builder_named("other") == builder.default_builder("other")


def test_everything_can_be_said(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        """
        [builders.both]
        max-used-space = "1.5GB"
        insecure-registries = ["127.0.0.1:5000", "[::1]:5000"]
        mirrors = { "docker.io" = ["mirror:5000/path"] }
        options = { memory = "4g", default-load = true, env.NO_PROXY = "localhost" }

        [[builders.both.nodes]]
        platforms = ["amd64"]

        [[builders.both.nodes]]
        name = "arm"
        endpoint = "ssh://build@arm.example.com"
        platforms = ["linux/arm64"]
        options = { memory = "8g", cpu-shares = 512 }
        """,
    )
    assert loaded.builders["both"] == Builder(
        "both",
        Driver.CONTAINER,
        (
            Node(
                "both0",
                "",
                (Platform.AMD64,),
                (("memory", "4g"), ("default-load", "true"), ("env.NO_PROXY", "localhost")),
            ),
            Node(
                "arm",
                "ssh://build@arm.example.com",
                (Platform.ARM64,),
                (
                    ("memory", "8g"),
                    ("default-load", "true"),
                    ("env.NO_PROXY", "localhost"),
                    ("cpu-shares", "512"),
                ),
            ),
        ),
        1_500_000_000,
        ("127.0.0.1:5000", "[::1]:5000"),
        (("docker.io", ("mirror:5000/path",)),),
    )


def test_certificates_may_be_the_builders_and_the_nodes(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        """
        [builders.far]
        driver = "remote"
        options = { cacert = "/ca.pem" }
        [[builders.far.nodes]]
        endpoint = "tcp://[::1]:1234"
        options = { cert = "/c.pem", key = "/c.key" }
        """,
    )
    (node,) = loaded.builders["far"].nodes
    assert dict(node.options) == {"cacert": "/ca.pem", "cert": "/c.pem", "key": "/c.key"}


def test_buildx_itself_checks_the_options_of_its_drivers(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[builders.a]\noptions = { new-option = "x", memory = "much" }')
    (node,) = loaded.builders["a"].nodes
    assert node.options == (("new-option", "x"), ("memory", "much"))


def test_the_engines_own_builder_can_be_named_with_its_driver(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[builders.default]\ndriver = "docker"')
    assert loaded.builders["default"] == Builder("default", Driver.DOCKER)


def test_settings_say_each_builders_values_and_where_they_came_from(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        '[builders.a]\noptions = { network = "host" }\nmax-used-space = "2GB"\n'
        '[[builders.a.nodes]]\nname = "x"\n',
    )
    rows = {key: (value, origin) for key, value, origin in loading.rows(loaded)}
    assert rows["builders.a.driver"] == ("docker-container", "default")
    place = "images.toml: builders.a"
    assert rows["builders.a.max-used-space"] == (2_000_000_000, f"{place}.max-used-space")
    assert rows["builders.a.nodes[0].name"] == ("x", f"{place}.nodes[0].name")
    assert rows["builders.a.nodes[0].options"] == ({"network": "host"}, f"{place}.options")
    assert rows["builders.a.nodes[0].endpoint"] == ("", "default")
    assert "builders" not in rows


REMOTE = '[builders.a]\ndriver = "remote"\n'
NODE = "[[builders.a.nodes]]\n"
TCP = 'endpoint = "tcp://x:1"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("builders = 3", "builders: expected tables [builders.NAME], got 3"),
        ("[builders]\na = 3", "builders.a: expected a table, got 3"),
        (
            "[builders.A]",
            "builders.A: expected a name of lower-case letters, ",
        ),
        ("[builders.a]\ncolour = 1", "builders.a: unknown key 'colour': choose driver, insecure-"),
        ('[builders.a]\ndriver = "vm"', "builders.a.driver: unknown driver 'vm': choose docker-"),
        ("[builders.a]\ndriver = []", "builders.a.driver: expected a string, got []"),
        (
            "[builders.default]",
            "builders.default.driver: default is the engine's own builder, whose driver is do",
        ),
        (
            '[builders.a]\ndriver = "docker"\noptions = {}',
            "builders.a: the docker driver has no key 'options': choose driver",
        ),
        (
            f'{REMOTE}max-used-space = "1GB"',
            "builders.a: the remote driver has no key 'max-used-space': choose driver, nodes, op",
        ),
        (
            "[builders.a]\noptions = 3",
            'builders.a.options: expected a table like { network = "host" }, got 3',
        ),
        (
            '[builders.a]\noptions = { "env.API_KEY" = "x" }',
            "builders.a.options.env.API_KEY: looks like a secret, and everyone who can inspec",
        ),
        (
            "[builders.a]\noptions = { image = [] }",
            "builders.a.options.image: expected a string or a number, got []",
        ),
        (
            f'[builders.a]\ndriver = "kubernetes"\n{NODE}{TCP}',
            "builders.a.nodes[0].endpoint: the kubernetes driver takes none: it uses KUBECONFIG",
        ),
        (
            REMOTE,
            "builders.a.nodes[0].endpoint: expected tcp://HOST:PORT, unix:///PATH, docker-con",
        ),
        (
            f'{REMOTE}{NODE}endpoint = "x:1"',
            "builders.a.nodes[0].endpoint: expected tcp://HOST:PORT, unix:///PATH, docker-con",
        ),
        (
            f'{NODE}endpoint = "ssh://me:pw@x"',
            "builders.a.nodes: 'endpoint=ssh://me:***@x' contains a secret (***), which commands",
        ),
        (
            f"{NODE}endpoint = 3",
            "builders.a.nodes[0].endpoint: expected ssh://USER@HOST, tcp://HOST:PORT, unix://",
        ),
        (
            f'{REMOTE}{NODE}{TCP}options = {{ cacert = "ca.pem" }}',
            "builders.a.nodes[0].options.cacert: expected an absolute path, got 'ca.pem'",
        ),
        (
            "[builders.a]\nnodes = 3",
            "builders.a.nodes: expected tables [[builders.a.nodes]], got 3",
        ),
        (
            "[builders.a]\nnodes = []",
            "builders.a.nodes: expected tables [[builders.a.nodes]], got []",
        ),
        (f"{NODE}port = 3", "builders.a.nodes[0]: unknown key 'port': choose endpoint, name, "),
        (
            f'{NODE}name = "X"',
            "builders.a.nodes[0].name: expected a name of lower-case letters, ",
        ),
        (f'{NODE}platforms = ["vax"]', "builders.a.nodes[0].platforms: unknown platform 'vax'"),
        (
            f"{REMOTE}{NODE}{TCP}{NODE}{TCP}",
            "builders.a.nodes[0].platforms: missing: one of several nodes could get builds",
        ),
        (
            f'{NODE}platforms = ["amd64"]\n{NODE}platforms = ["arm64"]',
            "builders.a.nodes[1]: the engine itself is that of nodes[0] too: buildx takes one",
        ),
        (
            f'{NODE}platforms = ["arm64"]\n{NODE}endpoint = "arm"\nplatforms = ["arm64"]',
            "builders.a.nodes[1]: linux/arm64 is that of nodes[0] too: buildx takes one node ",
        ),
        (
            '[builders.a]\nmax-used-space = "much"',
            "builders.a.max-used-space: expected a size like 20GB or 500MB, got 'much'",
        ),
        (
            "[builders.a]\nmax-used-space = 20",
            "builders.a.max-used-space: expected a size like 20GB or 500MB, got 20",
        ),
        (
            '[builders.a]\nmax-used-space = "0GB"',
            "builders.a.max-used-space: expected a size like 20GB or 500MB, got '0GB'",
        ),
        (
            "[builders.a]\nmirrors = []",
            'builders.a.mirrors: expected a table like { "docker.io" = ["mirror.example.com"]',
        ),
        (
            '[builders.a]\nmirrors = { "docker.io" = ["http://x"] }',
            'builders.a.mirrors."docker.io": expected a mirror like mirror.example.com:5000/p',
        ),
        (
            '[builders.a]\ninsecure-registries = ["http://x"]',
            "builders.a.insecure-registries: expected a host with an optional port, like ghcr",
        ),
    ],
)
def test_a_mistake_in_a_builder_is_one_line_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"images.toml: {message}")
    assert "\n" not in str(caught.value)
