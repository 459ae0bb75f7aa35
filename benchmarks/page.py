"""Results as Markdown: the table, the goals, and the page that is published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.goals import GOALS
from benchmarks.results import Results, ratio
from benchmarks.scenarios import APT_PACKAGE, PIN, TITLES, Peer

_METHOD = Path(__file__).with_name("method.md")


def table(run: Results) -> str:
    """Return the Markdown table of all samples, medians with ratios to raw."""
    rows = []
    for scenario, peers in run.measured():
        rows.append((f"**{scenario.title}**", "", "", "", ""))
        raw = run.seconds(scenario.name, Peer.RAW)
        for peer in peers:
            seconds = run.seconds(scenario.name, peer)
            rows.append(
                (
                    TITLES[peer],
                    _number(seconds),
                    _ratio(ratio(seconds, raw)),
                    _bytes(run.pulled(scenario.name, peer)),
                    _bytes(run.pushed(scenario.name, peer)),
                )
            )
    return markdown(("", "seconds", "of raw", "MB pulled", "MB pushed"), rows)


def goals(run: Results) -> str:
    """Return the Markdown table of what was to be reached and what was."""
    rows = []
    for goal in GOALS:
        figure = goal.measure(run)
        bound = f"{'at most' if goal.most else 'at least'} {_figure(goal.bound, goal.unit)}"
        if figure is None:
            rows.append((goal.text, bound, "not measured", ""))
        else:
            reached = "yes" if goal.reached(figure) else "**no**"
            rows.append((goal.text, bound, _figure(figure, goal.unit), reached))
    return markdown(("", "goal", "measured", "reached"), rows)


def limits(run: Results) -> list[str]:
    """Return a line for each goal that is not reached: what limits it."""
    missed = []
    for goal in GOALS:
        figure = goal.measure(run)
        if figure is not None and not goal.reached(figure):
            missed.append(f"- {goal.text}: {goal.limit or 'not explained yet.'}")
    return missed


def profile(run: Results) -> str:
    """Return the line that says where the time of a no-op goes; empty if it was not measured."""
    whole, start, plugin, docker = (
        run.seconds("no-op", peer) for peer in (Peer.INVOKE, Peer.START, Peer.PLUGIN, Peer.SAME)
    )
    if not (whole and start and plugin and docker):
        return ""
    parts = {
        "invoke's own start (`invoke --version`)": start,
        "the command that it runs (the buildx plugin, called directly)": plugin,
        "the suite itself": whole - start - plugin,
    }
    told = "; ".join(f"{what} {1000 * seconds:.0f} ms" for what, seconds in parts.items())
    return (
        f"The {1000 * whole:.0f} ms of a no-op through invoke: {told}. "
        f"Calling the plugin directly saves {1000 * (docker - plugin):.0f} ms of docker's own "
        "start.\n"
    )


def page(run: Results) -> str:
    """Return docs/performance.md."""
    rounds = max(sample.round for sample in run.samples)
    parts = [
        "# Performance\n",
        "<!-- Written by `nox -s bench -- --publish`: change benchmarks/ and run it again. -->\n",
        _METHOD.read_text(encoding="utf-8").format(package=PIN[0], release=PIN[1], apt=APT_PACKAGE),
        "## The last run\n",
        markdown(("", ""), [item for item in run.machine.items() if item[1]]),
        f"The figures are medians where a build was repeated (up to {rounds} times).\n",
        "![Seconds of each peer in each scenario](performance.svg)\n",
        table(run),
        "## Goals\n",
        goals(run),
    ]
    parts += [text for text in [profile(run)] if text]
    missed = limits(run)
    if missed:
        parts += ["These goals are not reached:\n", "\n".join([*missed, ""])]
    return "\n".join(parts)


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    lines = [columns, ["---", *(["---:"] * (len(columns) - 1))], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"  # noqa: PLR2004 - three figures


def _ratio(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"  # noqa: PLR2004 - two figures


def _bytes(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value / 1e6:.3f}" if value < 1e6 else f"{value / 1e6:.1f}"  # noqa: PLR2004 - a MB


def _figure(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"  # noqa: PLR2004 - digits
