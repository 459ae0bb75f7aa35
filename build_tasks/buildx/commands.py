"""The driver: commands of buildx as pure tuples, and the verbs that run them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from build_tasks import process
from build_tasks.buildx import runner
from build_tasks.buildx.runner import Built
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError
from build_tasks.history.record import BuildRecord
from build_tasks.model import cache_backends, labels
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.builder import Builder
from build_tasks.process import Command, Completed

#: Seconds that a builder has to start; buildx itself gives up after about 15.
BOOT = 120.0


def build_command(client: Client, spec: BuildSpec) -> Command:
    """Return the command that makes this build; nothing starts."""
    command = [
        *client.buildx,
        "build",
        *client.with_builder(spec.run.builder),
        "--file",
        str(spec.inputs.dockerfile),
        "--platform",
        ",".join(spec.platforms),
        "--pull",
        "--progress",
        spec.run.progress,
    ]
    for name, value in spec.inputs.arguments:
        command += ["--build-arg", f"{name}={value}"]
    for name, text in spec.inputs.labels:
        command += ["--label", f"{name}={text}"]
    for name, path in spec.inputs.contexts:
        command += ["--build-context", f"{name}={path}"]
    for name, path in spec.inputs.secrets:
        command += ["--secret", ",".join((f"id={name}", cache_backends.csv_value([f"src={path}"])))]
    command += spec.cache.options()
    command += _output_options(spec)
    return (*command, "--metadata-file", str(spec.run.metadata), str(spec.inputs.context))


def create_commands(
    client: Client, builder: Builder, configuration: Path | None
) -> tuple[Command, ...]:
    """Return the commands that create a builder, one for each node; the last one boots them all.

    Args:
        client: the way to the engine.
        builder: the builder as it is wanted.
        configuration: the file buildkitd.toml for its nodes, if they need one.
    """
    commands: list[Command] = []
    for node in builder.nodes:
        command = [*client.buildx, "create", "--name", builder.name]
        command += ["--append"] if commands else []
        command += ["--driver", builder.driver.value, "--node", node.name]
        command += ["--platform", ",".join(node.platforms)] if node.platforms else []
        command += ["--buildkitd-config", str(configuration)] if configuration else []
        for key, value in node.options:
            command += ["--driver-opt", cache_backends.csv_value([f"{key}={value}"])]
        command += ["--bootstrap"] if node is builder.nodes[-1] else []
        commands.append((*command, node.endpoint) if node.endpoint else tuple(command))
    return tuple(commands)


def inspect_command(client: Client, name: str, *, boot: bool = False) -> Command:
    """Return the command that describes a builder, and starts it if it does not run."""
    return (*client.buildx, "inspect", *(["--bootstrap"] if boot else []), client.builder(name))


def remove_command(client: Client, name: str, *, keep_cache: bool = False) -> Command:
    """Return the command that removes a dedicated builder, and its cache unless that is kept."""
    return (*client.buildx, "rm", "--force", *(["--keep-state"] if keep_cache else []), name)


def build(
    client: Client,
    spec: BuildSpec,
    line: Callable[[str], None] | None = None,
    *,
    note: Callable[[BuildRecord], None] | None = None,
) -> Built:
    """Build, and return what came of it.

    On a terminal BuildKit shows it itself, as everywhere where a person asked for one of its
    displays; else it is a line for each step, and the whole in a file.

    Args:
        client: the way to the engine.
        spec: the build.
        line: is told BuildKit's events, each as one line of JSON, and whatever else buildx says,
            instead of our stderr.
        note: is told the record of the build, however it ended.

    Raises:
        ImagesError: the build failed; the class says in which way.
    """
    command = functools.partial(build_command, client)
    return runner.build(client, spec, command, line=line, note=note)


def create(client: Client, builder: Builder, configuration: Path | None) -> None:
    """Create a builder and boot its nodes.

    Raises:
        ImagesError: it cannot be created or does not start.
    """
    for command in create_commands(client, builder, configuration):
        _show(client, command, f"builder {builder.name}")


def inspect(client: Client, name: str, *, boot: bool = False, timeout: float = BOOT) -> str:
    """Return what buildx says of a builder.

    Args:
        client: the way to the engine.
        name: the builder's name.
        boot: start it if it does not run.
        timeout: seconds until it has to have answered.

    Raises:
        ImagesError: there is no such builder, or it does not answer.
    """
    command = inspect_command(client, name, boot=boot)
    process.echo(command, client.environment)
    ended = process.run(command, environment=client.environment, timeout=timeout, check=False)
    if ended.returncode:
        raise _failed(ended, f"builder {name}")
    return ended.stdout


def remove(client: Client, name: str, *, keep_cache: bool = False) -> None:
    """Remove a dedicated builder, and its cache unless that is kept.

    Raises:
        ImagesError: there is no such builder, or it cannot be removed.
    """
    _show(client, remove_command(client, name, keep_cache=keep_cache), f"builder {name}")


def _output_options(spec: BuildSpec) -> list[str]:
    # Attestations make an index of every image, whose digest changes with each build: images for
    # the local engine go without, pushed ones say how they were made but not with which arguments.
    tags = [word for tag in spec.output.tags for word in ("--tag", tag)]
    if spec.output.kind.pushes:
        options = tags if spec.output.kind is Output.PUSH else _stood_in(spec)
        options += ["--output", _pushed(spec)]
        options += ["--provenance", "mode=min"]
        if spec.output.sbom:
            options += ["--sbom", f"generator={spec.output.sbom}"]
        for name, text in labels.annotated(spec.inputs.labels):
            options += ["--annotation", f"manifest,index:{name}={text}"]
        return options
    if spec.output.kind is Output.LOAD:
        load = ["--output", f"type=docker,{_epoch(spec)[0]}"] if spec.output.epoch else ["--load"]
        return [*tags, *load, "--provenance", "false"]
    return ["--output", "type=cacheonly", "--provenance", "false"]


def _stood_in(spec: BuildSpec) -> list[str]:
    """Return the tag that stands for nothing but the platform, where one is needed.

    An engine's own builder cannot push without a tag (driver docker, buildx to 0.36 at least).
    """
    return ["--tag", spec.output.placeholder_tag] if spec.output.placeholder_tag else []


def _pushed(spec: BuildSpec) -> str:
    """Return the output that pushes, straight from the cache.

    Nothing is unpacked or stored for the engine: layers that a cache reference has never come here.
    """
    name = []
    if spec.output.kind is Output.DIGEST and not spec.output.placeholder_tag:
        name = [f"name={spec.output.image}", "push-by-digest=true", "name-canonical=true"]
    compression = [f"{key}={value}" for key, value in spec.output.compression.attributes]
    straight = ["unpack=false", "store=false"] if spec.output.push_from_cache else []
    pushed = ["push=true", *straight, "oci-mediatypes=true"]
    return cache_backends.csv_value(["type=image", *name, *pushed, *compression, *_epoch(spec)])


def _epoch(spec: BuildSpec) -> list[str]:
    """Return the attribute of an output that sets the image's time.

    As the build argument that buildx makes of SOURCE_DATE_EPOCH, the time would be part of the
    cache key of every WORKDIR, COPY and ADD.
    """
    return [f"source-date-epoch={spec.output.epoch}"] if spec.output.epoch else []


def _show(client: Client, command: Command, subject: str) -> None:
    process.echo(command, client.environment)
    ended = process.stream(command, environment=client.environment)
    if ended.returncode:
        raise _failed(ended, subject)


def _failed(ended: Completed, subject: str) -> ImagesError:
    from build_tasks.buildx import classification  # noqa: PLC0415 - start-up time of the builds that succeed

    return classification.classify(ended, subject)
