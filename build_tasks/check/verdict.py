"""Whether an image is what a build would make now, as data and as lines of text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """What one place has.

    Args:
        place: `engine` or `registry`.
        reference: the image.
        there: it has one.
        digest: what the place calls it.
        changed: the parts of the inputs that changed since; none if it is current.
        details: what changed in them, as far as a record of that build is at hand.
        problem: why the place did not answer; empty if it did.
    """

    place: str
    reference: str
    there: bool = False
    digest: str = ""
    changed: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    problem: str = ""

    @property
    def current(self) -> bool:
        """Whether it is what a build would make now."""
        return self.there and not self.changed

    @property
    def text(self) -> str:
        """The same in words."""
        if self.problem:
            return f"did not answer: {self.problem}"
        if not self.there:
            return f"has no {self.reference}"
        if self.current:
            return f"has it: {self.reference}"
        return f"has an older one, since changed: {', '.join(self.details or self.changed)}"


@dataclass(frozen=True)
class Verdict:
    """One build, and whether it has to be made.

    Args:
        identity: the build's name.
        command: the command that makes it.
        findings: what each place has.
        unasked: why nobody knows whether the base image moved; empty if it was asked.
    """

    identity: str
    command: str
    findings: tuple[Finding, ...]
    unasked: str = ""

    @property
    def current(self) -> bool:
        """Whether one of the places has what a build would make now."""
        return any(finding.current for finding in self.findings)

    @property
    def stale(self) -> bool:
        """Whether none of the places can have it; where one does not answer, nobody knows."""
        return not self.current and not any(finding.problem for finding in self.findings)

    @property
    def word(self) -> str:
        """The verdict itself."""
        return "current" if self.current else "out of date" if self.stale else "not known"

    @property
    def data(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {"verdict": self.word, **asdict(self)}

    @property
    def lines(self) -> list[str]:
        """The same as lines of text."""
        said = [f"{self.identity}: {self.word}"]
        said += [f"  the {finding.place} {finding.text}" for finding in self.findings]
        if self.unasked:
            said.append(f"  whether the base image moved is not known: {self.unasked}")
        return said if self.current else [*said, f"  {self.command}"]
