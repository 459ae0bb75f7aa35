"""What a run is held to, and what limits it where it is not reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.results import Results, ratio
from benchmarks.scenarios import Peer

#: A manifest and a configuration around a layer, with room for attestations.
_SMALL = 100_000


@dataclass(frozen=True)
class Goal:
    """One figure to be reached.

    Args:
        text: what is to be reached.
        measure: returns the figure of a run, None where the run did not measure it.
        bound: the figure that is to be reached.
        most: the figure may be at most the bound; otherwise it has to be at least that.
        unit: stands behind the figure.
        limit: why it is not reached, where it is not.
    """

    text: str
    measure: Callable[[Results], float | None]
    bound: float
    most: bool = False
    unit: str = "x"
    limit: str = ""

    def reached(self, figure: float) -> bool:
        """Return whether a figure reaches the goal."""
        return figure <= self.bound if self.most else figure >= self.bound


def _faster(scenario: str, than: Peer) -> Callable[[Results], float | None]:
    return lambda run: ratio(run.seconds(scenario, than), run.seconds(scenario, Peer.INVOKE))


def _share(run: Results) -> float | None:
    pulled = run.pulled("unchanged", Peer.INVOKE)
    image = run.image("unchanged", Peer.INVOKE)
    return None if pulled is None or not image else 100 * pulled / image


def _sources_pushed(run: Results) -> float | None:
    pushed = run.pushed("source", Peer.INVOKE)
    return None if pushed is None else pushed / 1000


GOALS = (
    Goal("cold, pushed, cache exported: faster than raw", _faster("cold", Peer.RAW), 2.2),
    Goal("one pin bumped: faster than raw", _faster("pin", Peer.RAW), 4),
    Goal(
        "one pin bumped: fewer bytes pushed than raw",
        lambda run: ratio(run.pushed("pin", Peer.RAW), run.pushed("pin", Peer.INVOKE)),
        100,
    ),
    Goal("nothing changed: faster than pull then build", _faster("unchanged", Peer.CLASSIC), 40),
    Goal("nothing changed: share of the image pulled", _share, 1, most=True, unit="%"),
    Goal(
        "source edited: faster than raw with the sources copied first",
        _faster("source", Peer.COPIED),
        10,
    ),
    Goal(
        "source edited: bytes pushed (the sources' layer, manifests, the cache's table)",
        _sources_pushed,
        _SMALL / 1000,
        most=True,
        unit="kB",
    ),
    Goal(
        "no-op: time of raw",
        lambda run: ratio(run.seconds("no-op", Peer.INVOKE), run.seconds("no-op", Peer.RAW)),
        1.3,
        most=True,
        limit="the line above says where the time goes: invoke's start and the build itself leave "
        "the rest, most of which is the import of the suite's modules and the options of all "
        "tasks, which invoke copies twice.",
    ),
)
