"""Compare builds with those of other tools: `nox -s bench`, or `python -m benchmarks -h`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import chart, checkout, machine, page, scenarios
from benchmarks.results import Results, Sample, loaded
from benchmarks.scenarios import SCENARIOS, Peer, Scenario
from benchmarks.site import Site, open_site
from build_tasks import process
from build_tasks.engine import state
from build_tasks.errors import ImagesError, Interrupted

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "3.11"
COLD = next(scenario for scenario in SCENARIOS if scenario.cold)


def main() -> int:
    """Measure, write and print."""
    asked = options(sys.argv[1:])
    folder: Path = asked.output
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if asked.again:
            results = loaded(json.loads(asked.again.read_text(encoding="utf-8")))
        else:
            with process.interruptible(), open_site(PYTHON, folder) as where:
                results = measured(where, asked)
    except (OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except (ImagesError, Interrupted) as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    files = {
        asked.json or folder / "results.json": json.dumps(results.data(), indent=2) + "\n",
        folder / "results.md": "\n".join((page.table(results), page.goals(results))),
        folder / "results.svg": chart.chart(results),
    }
    if asked.publish:
        files[ROOT / "docs/performance.md"] = page.page(results)
        files[ROOT / "docs/performance.svg"] = chart.chart(results)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
        say(f"wrote {path}")
    print(page.table(results))
    print(page.goals(results))
    return 0


def options(words: Sequence[str]) -> argparse.Namespace:
    """Return what was asked for; an unknown name ends with a line that has the valid ones."""
    parser = argparse.ArgumentParser(
        "bench",
        description="Compare builds with those of other tools (peers), on a separate engine.",
        epilog="`nox -s bench -- matrix [ROUNDS]` compares eight cached builds with one bake.",
    )
    parser.add_argument(
        "--scenarios",
        type=_several(scenarios.NAMES),
        default=scenarios.NAMES,
        help=f"scenarios, with commas: {', '.join(scenarios.NAMES)} (default: all)",
    )
    parser.add_argument(
        "--peers",
        type=_several([peer.value for peer in Peer]),
        default=[peer.value for peer in Peer],
        help=f"peers, with commas: {', '.join(Peer)} (default: all)",
    )
    parser.add_argument(
        "--rounds", type=_positive, help="rounds of each build (default: 1, no-op 9)"
    )
    parser.add_argument(
        "--json", type=Path, help="file for the samples (default: results.json in --output)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "build/bench",
        help="folder for the results (default: build/bench)",
    )
    parser.add_argument("--again", type=Path, help="measure nothing; read the samples of this file")
    parser.add_argument(
        "--publish", action="store_true", help="also write docs/performance.md and its chart"
    )
    return parser.parse_args(words)


def measured(where: Site, asked: argparse.Namespace) -> Results:
    """Return what the scenarios that were asked for took; peers take turns within each."""
    engine = state.running()
    told = machine.describe(engine) if engine else {}
    todo = [scenario for scenario in SCENARIOS if scenario.name in asked.scenarios]
    settings = [peer for peer in Peer if peer in asked.peers]
    samples: list[Sample] = []
    cold = _only(COLD, settings)
    if any(scenario.pushes for scenario in todo):
        say("warming up: one cold build that does not count")
        build(where, Peer.INVOKE, COLD, 0)
        rounds = (asked.rounds or COLD.rounds) if COLD in todo else 1
        found = [
            build(where, peer, COLD, number) for number in range(1, rounds + 1) for peer in cold
        ]
        samples += found if COLD in todo else []
    for scenario in todo:
        if scenario is COLD:
            continue
        turns = _only(scenario, settings)
        rounds = asked.rounds or scenario.rounds
        if not scenario.pushes:
            samples += repeat(where, scenario, turns, rounds)
            continue
        for number in range(1, rounds + 1):
            samples += [build(where, peer, scenario, number) for peer in turns]
    return Results(told, tuple(samples))


def build(where: Site, peer: Peer, scenario: Scenario, number: int) -> Sample:
    """Bring a scenario about, and return what one peer's build took."""
    where.empty(old=peer is Peer.CLASSIC)
    if scenario.cold:
        where.shelf.forget(peer)
    else:
        where.shelf.restore(peer)
    with checkout.changed(scenarios.changes(scenario, where.checkout, where.python)):
        sample = where.measure(peer, where.job(scenario), scenario, number)
    if scenario.cold:
        where.shelf.keep(peer)
    tell(sample)
    return sample


def repeat(where: Site, scenario: Scenario, turns: Sequence[Peer], rounds: int) -> list[Sample]:
    """Return what the peers' builds take on a builder that has everything already."""
    where.empty()
    job = where.job(scenario)
    for peer in turns:
        say(f"{scenario.name}: {peer}: filling the builder")
        where.measure(peer, job, scenario, 0)
    samples = []
    for number in range(1, rounds + 1):
        samples += [where.measure(peer, job, scenario, number) for peer in turns]
        for sample in samples[-len(turns) :]:
            tell(sample)
    return samples


def tell(sample: Sample) -> None:
    """Say what one build took."""
    say(
        f"{sample.scenario}: {sample.peer}, {sample.round}: {sample.seconds:.2f} s, "
        f"{sample.pulled / 1e6:.2f} MB pulled, {sample.pushed / 1e6:.2f} MB pushed"
    )


def say(line: str) -> None:
    """Say what is done, on stderr."""
    print(line, file=sys.stderr, flush=True)


def _only(scenario: Scenario, chosen: Sequence[Peer]) -> list[Peer]:
    return [peer for peer in scenario.peers if peer in chosen]


def _several(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(
                f"unknown name {', '.join(unknown)!r}: choose {', '.join(known)}"
            )
        return names

    return parse


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rounds: give 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
