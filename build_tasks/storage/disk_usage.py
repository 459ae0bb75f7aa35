"""What builders keep, node by node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus

from build_tasks.builders import store
from build_tasks.builders.store import StoredBuilder
from build_tasks.buildx import commands, verbs
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import ImagesError
from build_tasks.model.builder import DEFAULT, Driver
from build_tasks.process import docker_api
from build_tasks.storage import cache_records
from build_tasks.storage.cache_records import Record

#: Seconds for a node to add up what it keeps: sizes of large records are found when asked for.
PATIENCE = 300.0
#: The oldest API of Docker 29, and one that Docker 26 has.
_QUESTION = "/v1.44/system/df?type=build-cache"


@dataclass(frozen=True)
class Node:
    """What one node of a builder keeps.

    Args:
        builder: the builder's name.
        driver: its driver.
        name: the node's name.
        records: what it keeps.
        exact: whether sizes and ages are exact, and not of four digits.
        failure: why it did not say, if so.
    """

    builder: str
    driver: str
    name: str
    records: tuple[Record, ...] = ()
    exact: bool = False
    failure: ImagesError | None = None

    @property
    def total(self) -> int:
        """The bytes of all records, as the engine adds them up."""
        return cache_records.total(self.records)

    @property
    def reclaimable(self) -> int:
        """The bytes that nothing uses at the moment."""
        return cache_records.total(record for record in self.records if not record.in_use)

    @property
    def shared(self) -> int:
        """The bytes that images of the engine's have, too."""
        return cache_records.total(record for record in self.records if record.shared)


def ask(client: Client, name: str) -> list[Node]:
    """Return what each node of a builder keeps, or why it does not say.

    Args:
        client: the way to the engine.
        name: the builder's name.
    """
    here = client.for_builder(name)
    stored = store.of(here, name)
    if stored:
        return [_node(here, stored, node.name) for node in stored.nodes]
    said = Node(name, Driver.DOCKER.value, name)
    exact = _of_engine(here) if name == DEFAULT else None
    if exact is None:
        return [_ask(here, said)]
    return [replace(said, records=tuple(exact), exact=True)]


def _of_engine(client: Client) -> Sequence[Record] | None:
    """Return the records of an engine's own builder, None where its API is not on this machine."""
    if client.socket is None:
        return None
    try:
        status, answer = docker_api.get(client.socket, _QUESTION, timeout=PATIENCE)
        return cache_records.of_api(answer) if status == HTTPStatus.OK else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _node(client: Client, one: StoredBuilder, node: str) -> Node:
    said = Node(one.name, one.driver, node)
    if len(one.nodes) == 1:
        return _ask(client, said)
    with store.isolated(client, one.name, node) as only:
        return _ask(only, said)


def _ask(client: Client, said: Node) -> Node:
    """Return a node with what it keeps, as buildx prints it, or why it does not say."""
    subject = f"builder {said.builder}, node {said.name}"
    command = commands.du_command(client, said.builder)
    try:
        text = verbs.capture(client, command, subject, timeout=PATIENCE)
    except ImagesError as error:
        return replace(said, failure=error)
    return replace(said, records=tuple(cache_records.of_text(text, datetime.now(UTC))))
