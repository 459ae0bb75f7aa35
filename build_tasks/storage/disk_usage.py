"""The cache records of builders, node by node."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus

from build_tasks.builders import store
from build_tasks.buildx import commands, management
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError
from build_tasks.model.builder import DEFAULT, Driver
from build_tasks.process import docker_api
from build_tasks.storage import cache_records
from build_tasks.storage.cache_records import Record

#: Seconds for a node to list its records: it measures large ones when it is asked.
PATIENCE = 300.0
#: The oldest API of Docker 29, which Docker 26 has as well.
_QUESTION = "/v1.44/system/df?type=build-cache"


@dataclass(frozen=True)
class NodeUsage:
    """The cache of one node of a builder.

    Args:
        name: the node's name.
        exact: whether sizes and ages are exact.
        error: why the node did not answer, if so.
    """

    builder: str
    driver: str
    name: str
    records: tuple[Record, ...] = ()
    exact: bool = False
    error: ImagesError | None = None


def of_builder(client: Client, name: str) -> list[NodeUsage]:
    """Return the cache of each node of a builder, or why the node does not answer."""
    client = store.client_for(client, name)
    stored = store.of(client, name)
    if not stored:
        usage = NodeUsage(name, Driver.DOCKER.value, name)
        records = _from_api(client) if name == DEFAULT else None
        if records is None:
            return [_from_buildx(client, usage)]
        return [replace(usage, records=records, exact=True)]
    usages = []
    for node in stored.nodes:
        with store.isolated(client, name, node.name) as only:
            usages.append(_from_buildx(only, NodeUsage(name, stored.driver, node.name)))
    return usages


def _from_api(client: Client) -> tuple[Record, ...] | None:
    """Return the records of an engine's own builder, None if its API is not on this machine."""
    if client.socket is None:
        return None
    try:
        status, answer = docker_api.get(client.socket, _QUESTION, timeout=PATIENCE)
        return tuple(cache_records.parse_api(answer)) if status == HTTPStatus.OK else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _from_buildx(client: Client, usage: NodeUsage) -> NodeUsage:
    subject = f"builder {usage.builder}, node {usage.name}"
    command = commands.du_command(client, usage.builder)
    try:
        text = management.capture(client, command, subject, timeout=PATIENCE)
    except ImagesError as error:
        return replace(usage, error=error)
    return replace(usage, records=tuple(cache_records.parse_text(text, datetime.now(UTC))))
