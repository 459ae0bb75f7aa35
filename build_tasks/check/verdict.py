"""Whether an image is what a build would make now, as data and as lines of text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """What the engine or the registry has. The field names are keys of the JSON output."""

    place: str  # `engine` or `registry`
    reference: str
    there: bool = False  # whether the image exists
    digest: str = ""  # its digest
    changed: tuple[str, ...] = ()  # the parts of the inputs that changed since it was built
    details: tuple[str, ...] = ()  # what changed in them, if there is a record of that build
    problem: str = ""  # why the place did not answer, or ""

    @property
    def current(self) -> bool:
        """Whether it is what a build would make now."""
        return self.there and not self.changed

    @property
    def text(self) -> str:
        """The finding in words."""
        if self.problem:
            return f"did not answer: {self.problem}"
        if not self.there:
            return f"has no {self.reference}"
        if self.current:
            return f"has it: {self.reference}"
        return f"has an older one, since changed: {', '.join(self.details or self.changed)}"


@dataclass(frozen=True)
class Verdict:
    """Whether the image of a build is up to date. The field names are keys of the JSON output."""

    identity: str
    command: str  # the command that builds it
    findings: tuple[Finding, ...]  # what the engine and the registry have
    unasked: str = ""  # why it is unknown whether the base image changed, or ""

    @property
    def current(self) -> bool:
        """Whether the engine or the registry has what a build would make now."""
        return any(finding.current for finding in self.findings)

    @property
    def stale(self) -> bool:
        """Whether the image is known to be out of date: every place answered."""
        return not self.current and not any(finding.problem for finding in self.findings)

    @property
    def word(self) -> str:
        """The verdict in a word."""
        return "current" if self.current else "out of date" if self.stale else "not known"

    @property
    def data(self) -> dict[str, Any]:
        """The verdict as JSON types."""
        return {"verdict": self.word, **asdict(self)}

    @property
    def lines(self) -> list[str]:
        """The verdict as lines of text."""
        lines = [f"{self.identity}: {self.word}"]
        lines += [f"  the {finding.place} {finding.text}" for finding in self.findings]
        if self.unasked:
            lines.append(f"  unknown whether the base image changed: {self.unasked}")
        return lines if self.current else [*lines, f"  {self.command}"]
