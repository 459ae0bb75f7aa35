"""What a run measured, as plain data."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.scenarios import SCENARIOS, Peer, Scenario

SCHEMA = 1


@dataclass(frozen=True)
class Sample:
    """One build of one peer.

    Args:
        scenario: the scenario's name.
        peer: who built.
        round: which time, from 1.
        seconds: from the first command's start to the last one's end.
        pulled: bytes that the registry sent in answer to GET.
        pushed: bytes that it was sent.
        image: bytes of the image's layers as the registry keeps them; 0 if nothing was pushed.
        load: the machine's load average when it began.
    """

    scenario: str
    peer: Peer
    round: int
    seconds: float
    pulled: int
    pushed: int
    image: int
    load: float


@dataclass(frozen=True)
class Results:
    """Everything that a run measured.

    Args:
        machine: what is to be known of the machine and of the programs, by name.
        samples: every build, in the order in which they were made.
    """

    machine: dict[str, str]
    samples: tuple[Sample, ...]

    def data(self) -> dict[str, Any]:
        """Return all of it for a JSON file."""
        samples = [asdict(sample) for sample in self.samples]
        return {"schema": SCHEMA, "machine": self.machine, "samples": samples}

    def measured(self) -> list[tuple[Scenario, list[Peer]]]:
        """Return the scenarios and peers that there are samples of, in the order of the table."""
        seen = {(sample.scenario, sample.peer) for sample in self.samples}
        found = [
            (scenario, [peer for peer in scenario.peers if (scenario.name, peer) in seen])
            for scenario in SCENARIOS
        ]
        return [(scenario, peers) for scenario, peers in found if peers]

    def seconds(self, scenario: str, peer: Peer) -> float | None:
        """Return the median seconds of a peer in a scenario, None without a sample."""
        return self._middle(scenario, peer, lambda sample: sample.seconds)

    def pulled(self, scenario: str, peer: Peer) -> float | None:
        """Return the median of the pulled bytes, None without a sample."""
        return self._middle(scenario, peer, lambda sample: sample.pulled)

    def pushed(self, scenario: str, peer: Peer) -> float | None:
        """Return the median of the pushed bytes, None without a sample."""
        return self._middle(scenario, peer, lambda sample: sample.pushed)

    def image(self, scenario: str, peer: Peer) -> float | None:
        """Return the bytes of the image, None without a sample."""
        return self._middle(scenario, peer, lambda sample: sample.image)

    def _middle(self, scenario: str, peer: Peer, of: Callable[[Sample], float]) -> float | None:
        values = [of(one) for one in self.samples if (one.scenario, one.peer) == (scenario, peer)]
        return statistics.median(values) if values else None


def loaded(data: dict[str, Any]) -> Results:
    """Return the results of a JSON file.

    Raises:
        ValueError: it has another schema.
    """
    if data.get("schema") != SCHEMA:
        raise ValueError(f"results of schema {data.get('schema')}: this reads {SCHEMA}")
    samples = [Sample(**{**one, "peer": Peer(one["peer"])}) for one in data["samples"]]
    return Results(data["machine"], tuple(samples))


def ratio(one: float | None, other: float | None) -> float | None:
    """Return how many times one is the other, None where either is missing or nothing."""
    return one / other if one and other else None
