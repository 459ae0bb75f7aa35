from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import specs

from build_tasks import process
from build_tasks.buildx import commands, runner
from build_tasks.buildx.runner import Built
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import (
    EngineError,
    ImagesError,
    UsageError,
)
from build_tasks.model import builder, cache_backends
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.builder import Builder, Node
from build_tasks.model.cache import CachePlan, Compression
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed

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
        "secrets": (("ca-bundle", Path("/ca.pem")),),
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
        *("--secret", "id=ca-bundle,src=/ca.pem"),
        *("--cache-from", "type=registry,ref=r/i:cache"),
        *("--tag", "r/i:latest", "--load", "--provenance", "false"),
        *("--metadata-file", str(tmp_path / "metadata.json"), "/p"),
    )


def test_a_comma_in_a_secrets_path_ends_nothing(tmp_path: Path) -> None:
    one = spec(tmp_path, secrets=(("ca-bundle", Path("/a,b.pem")),))
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


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "DB_PASSWORD", "apikey", "AWS_SECRET_ACCESS"])
def test_an_argument_that_looks_like_a_secret_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"build argument {name}: looks like a secret"):
        spec(tmp_path, arguments=((name, "x"),))


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


def test_commands_of_builders() -> None:
    assert commands.create_commands(CLIENT, builder.default_builder("b"), None) == (
        (
            *("docker-buildx", "create", "--name", "b", "--driver", "docker-container"),
            *("--node", "b0", "--bootstrap"),
        ),
    )
    assert commands.inspect_command(CLIENT, "b") == ("docker-buildx", "inspect", "b")
    boot = commands.inspect_command(CLIENT, "b", boot=True)
    assert boot == ("docker-buildx", "inspect", "--bootstrap", "b")
    remove = ("docker-buildx", "rm", "--force")
    assert commands.remove_command(CLIENT, "b") == (*remove, "b")
    assert commands.remove_command(CLIENT, "b", keep_cache=True) == (*remove, "--keep-state", "b")


class Streams:
    """Stands in for process.stream: writes the metadata that BuildKit would, and ends."""

    def __init__(self, returncode: int, stderr: str = "", metadata: object = None) -> None:
        self.ended = (returncode, stderr)
        self.metadata = metadata
        self.commands: list[Command] = []

    def __call__(
        self, command: Command, *, take: Callable[[bytes], None] | None = None, **_: object
    ) -> Completed:
        self.commands.append(command)
        if take:
            take(self.ended[1].encode())
        if self.metadata is not None:
            path = Path(command[command.index("--metadata-file") + 1])
            path.write_text(json.dumps(self.metadata))
        return Completed(command, self.ended[0], "", self.ended[1])


def test_a_build_returns_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = {"containerimage.digest": "sha256:1", "cache.manifest": "{}"}
    monkeypatch.setattr(process, "stream", Streams(0, metadata=metadata))
    one = spec(
        tmp_path, cache=CachePlan(export=cache_backends.registry("r/i:cache").for_export(()))
    )
    assert commands.build(CLIENT, one) == Built("ci-3.9-amd64", "sha256:1", True)


def test_metadata_of_an_earlier_build_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = spec(tmp_path)
    one.run.metadata.write_text('{"containerimage.digest": "sha256:old"}')
    monkeypatch.setattr(process, "stream", Streams(0))
    assert commands.build(CLIENT, one).digest == ""


RACE = (
    'ERROR: failed to build: failed to solve: failed to prepare extraction snapshot "extract-1 '
    'sha256:61": parent snapshot sha256:1c does not exist: not found'
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RACE, "the engine's image store collected a layer"),  # seen: moby/buildkit#6521
        (
            'ERROR: failed to build: failed to solve: image "docker.io/l/a:1": already exists',
            "another build loaded an image of this name at the same time",
        ),
    ],
)
def test_a_build_that_lost_a_race_in_the_engine_is_made_once_more(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: str,
    said: str,
) -> None:
    ended = [Streams(1, error), Streams(0)]
    monkeypatch.setattr(process, "stream", lambda *words, **how: ended.pop(0)(*words, **how))  # noqa: PLW0108 - each time the next
    assert commands.build(CLIENT, spec(tmp_path)).identity == "ci-3.9-amd64"
    assert f"ci-3.9-amd64: {said}" in capsys.readouterr().err


def test_a_race_that_is_lost_again_and_again_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Streams(1, RACE)
    monkeypatch.setattr(process, "stream", streams)
    with pytest.raises(ImagesError, match="parent snapshot"):
        commands.build(CLIENT, spec(tmp_path))
    assert len(streams.commands) == runner.RACES + 1


def test_what_is_run_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    streams = Streams(0)
    monkeypatch.setattr(process, "stream", streams)
    commands.build(CLIENT, spec(tmp_path))
    shown = process.quote(streams.commands[0], CLIENT.environment)
    assert capsys.readouterr().err == f"+ {shown}\n"
    assert shown.startswith("env BUILDX_CONFIG=/c docker-buildx build ")


@pytest.mark.parametrize(
    "act",
    [
        lambda path: commands.build(CLIENT, spec(path)),
        lambda _: commands.create(CLIENT, builder.default_builder("b"), None),
        lambda _: commands.remove(CLIENT, "b"),
    ],
)
def test_a_failure_has_its_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: object
) -> None:
    monkeypatch.setattr(process, "stream", Streams(1, 'ERROR: no builder "b" found'))
    with pytest.raises(EngineError, match='no builder "b" found'):
        act(tmp_path)  # type: ignore[operator]  # one of the lambdas above


def test_a_builder_that_does_not_boot_has_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Completed(("x",), 1, "", 'ERROR: no builder "b" found')
    monkeypatch.setattr(process, "run", lambda *_, **__: ended)
    with pytest.raises(EngineError, match="builder b: no builder"):
        commands.inspect(CLIENT, "b", boot=True)
    monkeypatch.setattr(process, "run", lambda *_, **__: Completed(("x",), 0, "Name: b", ""))
    assert commands.inspect(CLIENT, "b") == "Name: b"
