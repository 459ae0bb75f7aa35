"""Results as one SVG: bars of seconds by scenario, readable on light and on dark, no fonts."""

from __future__ import annotations

from xml.sax.saxutils import escape

from benchmarks.results import Results
from benchmarks.scenarios import Peer

WIDTH = 760
_LABELS = 210
_BARS = 430
_ROW = 20
_TITLE = 34
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.peer { fill: #8c959f; }
.ours { fill: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .peer { fill: #6e7681; }
  .ours { fill: #4493f8; }
}
"""


def chart(run: Results) -> str:
    """Return the SVG of a run; each scenario has a scale of its own."""
    parts: list[str] = []
    top = 0
    for scenario, peers in run.measured():
        parts.append(_text(0, top + 22, scenario.title, "title"))
        top += _TITLE
        times = {peer: run.seconds(scenario.name, peer) or 0.0 for peer in peers}
        longest = max(times.values()) or 1.0
        for peer, seconds in times.items():
            parts += _bar(top, peer, seconds, longest)
            top += _ROW
        top += 8
    size = f'viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    named = 'role="img" aria-label="Seconds of each peer in each scenario"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {named}>',
        f"<style>\n{_STYLE}</style>",
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _bar(top: int, peer: Peer, seconds: float, longest: float) -> list[str]:
    width = max(1.0, _BARS * seconds / longest)
    kind = "ours" if peer in {Peer.INVOKE, Peer.NOX} else "peer"
    said = f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - figures
    place = f'x="{_LABELS}" y="{top + 3}" width="{width:.1f}" height="14"'
    return [
        _text(0, top + 14, peer.value),
        f'<rect class="{kind}" {place} rx="2"/>',
        _text(_LABELS + width + 6, top + 14, said),
    ]


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y}"{named}>{escape(text)}</text>'
