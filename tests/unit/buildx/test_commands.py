from __future__ import annotations

from pathlib import Path

import pytest
import specs

from build_tasks.buildx import commands
from build_tasks.buildx.toolchain import Client
from build_tasks.model import builder, cache_backends
from build_tasks.model.build import BuildInputs, BuildSpec, Output, Secret
from build_tasks.model.builder import Builder, Node
from build_tasks.model.cache import CachePlan, Compression
from build_tasks.model.matrix import Platform

PUSHED = (
    "push=true,unpack=false,store=false,oci-mediatypes=true,compression=zstd,compression-level=1"
)
CLIENT = Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": "/c"})


def spec(tmp_path: Path, output: Output = Output.LOAD, **changes: object) -> BuildSpec:
    given = {
        "python": "3.9",
        "dockerfile": Path("/p/Dockerfile.ci"),
        "context": Path("/p"),
        "platform": Platform.AMD64,
        "tags": ("r/i:latest",),
        "arguments": (("A", "1"), ("B", "x y")),
        "secrets": (Secret("ca-bundle", Path("/ca.pem")), Secret("t", variable="TOKEN")),
        "ssh": ("default", "id=/k"),
        "cache": CachePlan((cache_backends.registry("r/i:cache"),)),
        "kind": output,
        "metadata": tmp_path / "metadata.json",
        **changes,
    }
    return specs.make(**given)


def test_a_build_is_one_command(tmp_path: Path) -> None:
    assert commands.build_command(CLIENT, spec(tmp_path)) == (
        *("docker-buildx", "build", "--builder", "default"),
        *("--file", "/p/Dockerfile.ci", "--platform", "linux/amd64", "--pull"),
        *("--progress", "auto"),
        *("--build-arg", "A=1", "--build-arg", "B=x y"),
        *("--secret", "id=ca-bundle,src=/ca.pem", "--secret", "id=t,env=TOKEN"),
        *("--ssh", "default", "--ssh", "id=/k"),
        *("--cache-from", "type=registry,ref=r/i:cache"),
        *("--tag", "r/i:latest", "--load", "--provenance", "false"),
        *("--metadata-file", str(tmp_path / "metadata.json"), "/p"),
    )


def test_a_comma_in_a_secrets_path_ends_nothing(tmp_path: Path) -> None:
    one = spec(tmp_path, secrets=(Secret("ca-bundle", Path("/a,b.pem")),))
    assert 'id=ca-bundle,"src=/a,b.pem"' in commands.build_command(CLIENT, one)


@pytest.mark.parametrize(
    ("output", "options"),
    [
        (Output.PUSH, ("--output", f"type=image,{PUSHED}", "--provenance", "mode=min")),
        (Output.LOAD, ("--load", "--provenance", "false")),
        (Output.NONE, ("--output", "type=cacheonly", "--provenance", "false")),
    ],
)
def test_a_build_has_one_output(tmp_path: Path, output: Output, options: tuple[str, ...]) -> None:
    command = commands.build_command(CLIENT, spec(tmp_path, output))
    start = command.index(options[0])
    assert command[start : start + len(options)] == options


def test_what_the_engine_pushes_has_to_be_stored(tmp_path: Path) -> None:
    command = commands.build_command(CLIENT, spec(tmp_path, Output.PUSH, push_from_cache=False))
    value = command[command.index("--output") + 1]
    assert value.startswith("type=image,push=true,oci-mediatypes=true")


def test_old_consumers_get_gzip(tmp_path: Path) -> None:
    command = commands.build_command(
        CLIENT, spec(tmp_path, Output.PUSH, compression=Compression.GZIP)
    )
    assert command[command.index("--output") + 1].endswith(
        "oci-mediatypes=true,compression=gzip,force-compression=true"
    )


def test_an_image_pushed_by_digest_gets_no_tag(tmp_path: Path) -> None:
    command = commands.build_command(CLIENT, spec(tmp_path, Output.DIGEST, image="r/i"))
    assert command[command.index("--output") :][:4] == (
        "--output",
        f"type=image,name=r/i,push-by-digest=true,name-canonical=true,{PUSHED}",
        *("--provenance", "mode=min"),
    )
    assert "--tag" not in command
    stand_in = {"image": "r/i", "placeholder_tag": "r/i:linux-amd64"}
    command = commands.build_command(CLIENT, spec(tmp_path, Output.DIGEST, **stand_in))
    assert command[command.index("--tag") :][:4] == (
        *("--tag", "r/i:linux-amd64", "--output", f"type=image,{PUSHED}"),
    )
    assert "r/i:latest" not in command


@pytest.mark.parametrize(
    ("output", "value"),
    [
        (Output.LOAD, "type=docker,source-date-epoch=17"),
        (Output.PUSH, f"type=image,{PUSHED},source-date-epoch=17"),
        (Output.NONE, "type=cacheonly"),
    ],
)
def test_source_date_epoch_is_an_attribute_of_the_output(
    tmp_path: Path, output: Output, value: str
) -> None:
    command = commands.build_command(CLIENT, spec(tmp_path, output, epoch="17"))
    assert command[command.index("--output") + 1].startswith(value)
    assert not any("SOURCE_DATE_EPOCH" in word for word in command)


def test_several_platforms_are_loaded_by_one_command(tmp_path: Path) -> None:
    command = commands.build_command(CLIENT, spec(tmp_path, extra_platforms=(Platform.ARM64,)))
    assert command[command.index("--platform") + 1] == "linux/amd64,linux/arm64"


def test_a_builder_is_one_command_for_each_node_and_the_last_boots_them() -> None:
    nodes = (
        Node("b0", platforms=(Platform.AMD64,), options=(("network", "host"),)),
        Node("far", "ssh://me@far", (Platform.ARM64,), (("env.NO_PROXY", 'a,"b"'),)),
    )
    start = ("docker-buildx", "create", "--name", "b")
    assert commands.create_commands(CLIENT, Builder("b", nodes=nodes), Path("/c.toml")) == (
        (
            *(*start, "--driver", "docker-container", "--node", "b0"),
            *("--platform", "linux/amd64", "--buildkitd-config", "/c.toml"),
            *("--driver-opt", "network=host"),
        ),
        (
            *(*start, "--append", "--driver", "docker-container", "--node", "far"),
            *("--platform", "linux/arm64", "--buildkitd-config", "/c.toml"),
            *("--driver-opt", '"env.NO_PROXY=a,""b"""', "--bootstrap", "ssh://me@far"),
        ),
    )


def test_builders_are_created_listed_started_and_removed() -> None:
    assert commands.create_commands(CLIENT, builder.default_builder("b"), None) == (
        (
            *("docker-buildx", "create", "--name", "b", "--driver", "docker-container"),
            *("--node", "b0", "--bootstrap"),
        ),
    )
    assert commands.list_command(CLIENT) == ("docker-buildx", "ls", "--format", "json")
    boot = commands.bootstrap_command(CLIENT, "b")
    assert boot == ("docker-buildx", "inspect", "--bootstrap", "b")
    remove = ("docker-buildx", "rm", "--force")
    assert commands.remove_command(CLIENT, "b") == (*remove, "b")
    assert commands.remove_command(CLIENT, "b", keep_cache=True) == (*remove, "--keep-state", "b")


def test_caches_are_listed_and_pruned() -> None:
    named = ("--builder", "b", "--verbose")
    assert commands.du_command(CLIENT, "b") == ("docker-buildx", "du", *named)
    prune = ("docker-buildx", "prune", "--builder", "b", "--force", "--verbose")
    assert commands.prune_command(CLIENT, "b") == prune
    filters, limits = ["until=24h", "type=regular"], {"max-used-space": 7}
    assert commands.prune_command(CLIENT, "b", filters, limits, everything=True) == (
        *(*prune, "--all", "--filter", "until=24h", "--filter", "type=regular"),
        *("--max-used-space", "7"),
    )


@pytest.mark.parametrize(("version", "asks"), [((0, 18), False), ((0, 19), True)])
def test_bake_is_allowed_to_read_files_if_it_asks(version: tuple[int, ...], asks: bool) -> None:
    client = Client("docker", ("docker-buildx",), {})
    vars(client)["version"] = version  # the value of a cached property
    allowed = ("--allow", "fs.read=/p", "--allow", "fs.read=/w") if asks else ()
    assert commands.bake_command(client, "b", ["fs.read=/p", "fs.read=/w"]) == (
        *("docker-buildx", "bake", "--builder", "b", *allowed, "--file", "-"),
    )


def test_a_small_image_is_built_and_loaded() -> None:
    inputs = BuildInputs(
        Path("/p/Dockerfile"),
        Path("/p"),
        arguments=(("A", "1"),),
        secrets=(Secret("apt-auth", variable="X"),),
        contexts=(("apt", Path("/a")),),
    )
    assert commands.small_build_command(CLIENT, "default", inputs, "t") == (
        *("docker-buildx", "build", "--builder", "default", "--load", "--provenance", "false"),
        *("--progress", "plain", "--file", "/p/Dockerfile", "--build-arg", "A=1"),
        *("--build-context", "apt=/a", "--secret", "id=apt-auth,env=X", "--tag", "t", "/p"),
    )


def test_the_events_of_a_build_are_replayed() -> None:
    assert commands.history_logs_command(CLIENT, "b", "x1") == (
        *("docker-buildx", "history", "logs", "--builder", "b", "--progress", "rawjson", "x1"),
    )


def test_a_base_by_digest_is_the_same_for_buildx_and_bake(tmp_path: Path) -> None:
    arguments = (("BASE_IMAGE", "b:1"), ("A", "1"))
    pinned = spec(tmp_path, arguments=arguments, base_digest="sha256:1")
    command = commands.build_command(CLIENT, pinned)
    assert [word for word in command if word.startswith("BASE_IMAGE=")] == [
        "BASE_IMAGE=b:1@sha256:1"
    ]
    target = commands.bake_target(pinned)
    assert target["args"] == {"SOURCE_DATE_EPOCH": "", "BASE_IMAGE": "b:1@sha256:1", "A": "1"}
    assert pinned.inputs.arguments == arguments


def test_files_are_exported_to_a_folder_whatever_its_name() -> None:
    command = commands.export_command(
        CLIENT, "default", platform=Platform.ARM64, base_image="b@x", folder=Path("/a,b")
    )
    start = ("docker-buildx", "build", "--builder", "default", "--platform", "linux/arm64")
    assert command[: len(start)] == start
    assert command[-5:] == (
        *("--build-arg", "BASE_IMAGE=b@x", "--output", 'type=local,"dest=/a,b"', "-"),
    )


def test_an_image_below_is_a_context_in_the_place_of_its_reference(tmp_path: Path) -> None:
    below = specs.change(
        spec(tmp_path),
        arguments=(("AIRFLOW_IMAGE", "r/prod:latest"),),
        base_argument="AIRFLOW_IMAGE",
        base_context="oci-layout:///l@sha256:1",
        pull=False,
        target="stage",
    )
    command = commands.build_command(CLIENT, below)
    words = [
        *("--target", "stage", "--build-arg", "AIRFLOW_IMAGE=r/prod:latest"),
        *("--build-context", "r/prod:latest=oci-layout:///l@sha256:1"),
    ]
    assert [word for word in command if word in words] == words
    assert "--pull" not in command
    target = commands.bake_target(below)
    assert target["contexts"] == {"r/prod": "oci-layout:///l@sha256:1"}  # as BuildKit asks for it
    assert target["target"] == "stage"
    assert "pull" not in target


@pytest.mark.parametrize(
    ("output", "values"),
    [
        (Output.LOAD, ["--load", "type=oci,tar=false,dest=/l"]),
        (Output.NONE, ["type=oci,tar=false,dest=/l"]),
    ],
)
def test_builds_on_top_find_an_image_in_a_folder(
    tmp_path: Path, output: Output, values: list[str]
) -> None:
    command = commands.build_command(CLIENT, spec(tmp_path, output, layout=Path("/l")))
    assert [word for word in command if word == "--load" or word.startswith("type=")][1:] == values


def test_the_image_in_a_folder_has_the_same_time(tmp_path: Path) -> None:
    build = specs.change(spec(tmp_path, Output.LOAD, layout=Path("/l")), epoch="5")
    command = commands.build_command(CLIENT, build)
    values = [word for word in command if word.startswith("type=")]
    assert values[-2:] == [
        "type=docker,source-date-epoch=5",
        "type=oci,tar=false,dest=/l,source-date-epoch=5",
    ]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("r:5/prod:latest", "r:5/prod"),
        ("docker.io/team/prod:latest", "team/prod"),
        ("docker.io/library/prod:1", "prod:1"),
        ("r/library/prod:latest", "r/library/prod"),
    ],
)
def test_bake_names_contexts_as_buildkit_does(tmp_path: Path, reference: str, name: str) -> None:
    below = specs.change(
        spec(tmp_path),
        arguments=(("AIRFLOW_IMAGE", reference),),
        base_argument="AIRFLOW_IMAGE",
        base_context="oci-layout:///l@sha256:1",
    )
    assert commands.bake_target(below)["contexts"] == {name: "oci-layout:///l@sha256:1"}
