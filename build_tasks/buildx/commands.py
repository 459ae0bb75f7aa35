"""Command lines of buildx, as pure functions that return tuples. Nothing runs here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from build_tasks.buildx.toolchain import Client
from build_tasks.inputs.dockerfile.inputs import EPOCH
from build_tasks.inputs.fingerprint import BASE_ARGUMENT
from build_tasks.model import labels
from build_tasks.model.aliases import Pairs
from build_tasks.model.build import BuildInputs, BuildSpec, ImageOutput, Output, Secret
from build_tasks.model.builder import Builder
from build_tasks.model.cache_backends import csv_value
from build_tasks.model.matrix import Platform
from build_tasks.process import Command

#: The first buildx whose bake asks before it reads files outside the working directory.
BAKE_ASKS = (0, 19)


def build_command(client: Client, spec: BuildSpec) -> Command:
    """Return the command that runs a build."""
    command = [*client.buildx, "build", *client.with_builder(spec.run.builder)]
    command += ["--file", str(spec.inputs.dockerfile), "--platform", ",".join(spec.platforms)]
    command += ["--pull"] if spec.inputs.pull else []
    command += ["--progress", spec.run.progress]
    command += _input_options(spec.inputs)
    command += spec.cache.options()
    for tag in _output_tags(spec):
        command += ["--tag", tag]
    for output in _output_values(spec):
        command += ["--load"] if output == "type=docker" else ["--output", output]
    # Attestations make an index of every image, whose digest changes with each build. Images for
    # the local engine have none; those of pushed images leave out the build arguments.
    command += ["--provenance", "mode=min" if spec.output.kind.pushes else "false"]
    if spec.output.sbom and spec.output.kind.pushes:
        command += ["--sbom", f"generator={spec.output.sbom}"]
    for annotation in _annotation_values(spec):
        command += ["--annotation", annotation]
    return (*command, "--metadata-file", str(spec.run.metadata), str(spec.inputs.context))


def bake_name(identity: str) -> str:
    """Return the name of a build's target in a bake file, which has no dots."""
    return identity.replace(".", "_")


def bake_target(spec: BuildSpec) -> dict[str, Any]:
    """Return the target of a bake file that does the same as `build_command`.

    A build that stands on another one takes the result of its target, whatever its output.
    """
    inputs, output = spec.inputs, spec.output
    below = [(inputs.base, f"target:{bake_name(spec.needs)}")] if spec.needs else []
    attestations = ["type=provenance," + ("mode=min" if output.kind.pushes else "disabled=true")]
    if output.sbom and output.kind.pushes:
        attestations.append(f"type=sbom,generator={output.sbom}")
    values = {
        "description": spec.identity,
        "context": str(inputs.context),
        "dockerfile": str(inputs.dockerfile),
        "target": inputs.target,
        "platforms": [platform.value for platform in spec.platforms],
        "pull": inputs.pull,
        "no-cache": not spec.cache.enabled,
        # bake would pass the variable as a build argument, which is a part of cache keys.
        "args": {EPOCH: "", **dict(inputs.final_arguments)},
        "labels": dict(inputs.labels),
        "annotations": _annotation_values(spec),
        "contexts": {_familiar(name): place for name, place in (*_contexts(inputs), *below)},
        "secret": [*map(_secret_value, inputs.secrets)],
        "ssh": [*inputs.ssh],
        "cache-from": [backend.value for backend in spec.cache.imports],
        "cache-to": [spec.cache.export.value] if spec.cache.export else [],
        "tags": _output_tags(spec),
        "output": [_output_value(spec)],
        "attest": attestations,
    }
    return {key: value for key, value in values.items() if value}


def _familiar(reference: str) -> str:
    """Return a reference as BuildKit looks for it among the build contexts.

    `--build-context` itself brings names into this form, bake does not.
    """
    name = reference.removesuffix(":latest")
    hub = name.removeprefix("docker.io/")
    return name if hub == name else hub.removeprefix("library/")


def small_build_command(client: Client, builder: str, inputs: BuildInputs, tag: str) -> Command:
    """Return the command that builds and loads an image, without attestations."""
    load = ("--load", "--provenance", "false", "--progress", "plain")
    return (
        *(*client.buildx, "build", *client.with_builder(builder), *load),
        *("--file", str(inputs.dockerfile), *_input_options(inputs)),
        *("--tag", tag, str(inputs.context)),
    )


def export_command(
    client: Client, builder: str, *, platform: Platform, base_image: str, folder: Path
) -> Command:
    """Return the command that writes the files of an image into a folder.

    The Dockerfile, which stands on the base image, is its standard input.
    """
    return (
        *(*client.buildx, "build", *client.with_builder(builder), "--platform", platform),
        *("--pull", "--provenance", "false", "--progress", "plain"),
        *("--build-arg", f"{BASE_ARGUMENT}={base_image}"),
        *("--output", csv_value(["type=local", f"dest={folder}"]), "-"),
    )


def bake_command(client: Client, builder: str, entitlements: Iterable[str]) -> Command:
    """Return the command that builds the bake file on its standard input.

    `entitlements` are what bake must be allowed, like `fs.read=/folder`.
    """
    allowed = entitlements if client.version >= BAKE_ASKS else ()
    options = [word for entitlement in allowed for word in ("--allow", entitlement)]
    return (*client.buildx, "bake", *client.with_builder(builder), *options, "--file", "-")


def history_logs_command(client: Client, builder: str, build: str) -> Command:
    """Return the command that replays the events of a build that is over."""
    form = ("--progress", "rawjson", build)
    return (*client.buildx, "history", "logs", *client.with_builder(builder), *form)


def create_commands(
    client: Client, builder: Builder, configuration: Path | None
) -> tuple[Command, ...]:
    """Return the commands that create a builder, one for each node; the last one boots all nodes.

    `configuration` is the buildkitd.toml of its nodes, if they need one.
    """
    commands: list[Command] = []
    for node in builder.nodes:
        command = [*client.buildx, "create", "--name", builder.name]
        command += ["--append"] if commands else []
        command += ["--driver", builder.driver, "--node", node.name]
        command += ["--platform", ",".join(node.platforms)] if node.platforms else []
        command += ["--buildkitd-config", str(configuration)] if configuration else []
        for key, value in node.options:
            command += ["--driver-opt", csv_value([f"{key}={value}"])]
        command += ["--bootstrap"] if node is builder.nodes[-1] else []
        command += [node.endpoint] if node.endpoint else []
        commands.append(tuple(command))
    return tuple(commands)


def bootstrap_command(client: Client, name: str) -> Command:
    """Return the command that starts the nodes of a builder."""
    return (*client.buildx, "inspect", "--bootstrap", client.builder(name))


def list_command(client: Client) -> Command:
    """Return the command that lists the builders, one JSON object per line."""
    return (*client.buildx, "ls", "--format", "json")


def remove_command(client: Client, name: str, *, keep_cache: bool = False) -> Command:
    """Return the command that removes a builder, and its cache unless that is kept."""
    return (*client.buildx, "rm", "--force", *(["--keep-state"] if keep_cache else []), name)


def du_command(client: Client, builder: str) -> Command:
    """Return the command that lists the cache records of a builder."""
    return (*client.buildx, "du", *client.with_builder(builder), "--verbose")


def prune_command(
    client: Client,
    builder: str,
    filters: Iterable[str] = (),
    limits: Mapping[str, int] | None = None,
    *,
    everything: bool = False,
) -> Command:
    """Return the command that removes cache records without asking for confirmation.

    Args:
        client: programs and environment.
        builder: the builder whose cache is pruned.
        filters: which records may be removed, like `until=24h`.
        limits: bytes by the name of the option, like `max-used-space`.
        everything: remove internal records and those that images share, too.
    """
    command = [*client.buildx, "prune", *client.with_builder(builder), "--force", "--verbose"]
    command += ["--all"] if everything else []
    for text in filters:
        command += ["--filter", text]
    for name, limit in (limits or {}).items():
        command += [f"--{name}", str(limit)]
    return tuple(command)


def _input_options(inputs: BuildInputs) -> list[str]:
    """Return the options for what goes into a build."""
    values = {
        "--target": [inputs.target] if inputs.target else [],
        "--build-arg": [f"{name}={value}" for name, value in inputs.final_arguments],
        "--label": [f"{name}={text}" for name, text in inputs.labels],
        "--build-context": [f"{name}={place}" for name, place in _contexts(inputs)],
        "--secret": [*map(_secret_value, inputs.secrets)],
        "--ssh": [*inputs.ssh],
    }
    return [word for option, texts in values.items() for text in texts for word in (option, text)]


def _contexts(inputs: BuildInputs) -> Pairs:
    """Return the named build contexts; that of the base image has the name of its reference."""
    base = [(inputs.base, inputs.base_context)] if inputs.base_context else []
    return (*((name, str(folder)) for name, folder in inputs.contexts), *base)


def _secret_value(secret: Secret) -> str:
    """Return the value of `--secret`, which names the secret's place."""
    place = f"src={secret.file}" if secret.file else f"env={secret.variable}"
    return f"id={secret.id},{csv_value([place])}"


def _output_tags(spec: BuildSpec) -> list[str]:
    """Return the tags that the build itself gives to the image."""
    if spec.output.kind is Output.DIGEST:
        # An engine's own builder cannot push without a tag (driver docker, up to buildx 0.36).
        return [spec.output.placeholder_tag] if spec.output.placeholder_tag else []
    return [] if spec.output.kind is Output.NONE else [*spec.output.tags]


def _output_values(spec: BuildSpec) -> list[str]:
    """Return the values of `--output`; a layout is beside the image, or in place of none."""
    if not spec.output.layout:
        return [_output_value(spec)]
    epoch = _epoch(spec.output)
    layout = csv_value(["type=oci", "tar=false", f"dest={spec.output.layout}", *epoch])
    return [layout] if spec.output.kind is Output.NONE else [_output_value(spec), layout]


def _epoch(output: ImageOutput) -> list[str]:
    return [f"source-date-epoch={output.epoch}"] if output.epoch else []


def _output_value(spec: BuildSpec) -> str:
    """Return the value of `--output` for the image itself.

    An image is pushed from the cache: nothing is unpacked or stored locally, and layers that only
    a cache reference has are not downloaded. The time of the image is an attribute: as the build
    argument that buildx makes of SOURCE_DATE_EPOCH, it would be part of the cache key of every
    WORKDIR, COPY and ADD.
    """
    output = spec.output
    epoch = _epoch(output)
    if output.kind is Output.NONE:
        return "type=cacheonly"
    if output.kind is Output.LOAD:
        return csv_value(["type=docker", *epoch])
    name = []
    if output.kind is Output.DIGEST and not output.placeholder_tag:
        name = [f"name={output.image}", "push-by-digest=true", "name-canonical=true"]
    compression = [f"{key}={value}" for key, value in output.compression.attributes]
    direct = ["unpack=false", "store=false"] if output.push_from_cache else []
    pushed = ["push=true", *direct, "oci-mediatypes=true"]
    return csv_value(["type=image", *name, *pushed, *compression, *epoch])


def _annotation_values(spec: BuildSpec) -> list[str]:
    """Return the values of `--annotation`: those of a pushed image are its OCI labels."""
    if not spec.output.kind.pushes:
        return []
    table = labels.annotated(spec.inputs.labels)
    return [f"manifest,index:{name}={text}" for name, text in table]
