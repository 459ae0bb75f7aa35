"""Read the names of BuildKit's vertices: nothing else says what a vertex is.

BuildKit names a step by its instruction: its place, all of its flags, and of a heredoc the first
line. Tables and reports show a short name: of a RUN, the comment that its heredoc begins with, or
its command.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from build_tasks.history.record import StepKind

#: `[linux/arm64 main 2/5] RUN ...`: platform and stage where there are several, in bake after the
#: target.
_NUMBERED = re.compile(
    r"\[(?P<words>(?:[^\]\s]+ +)*)(?P<number>\d+)/(?P<total>\d+)\] (?P<text>.*)", re.DOTALL
)
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+(?:/v\d+)?(?:->\S+)?")
_IMPORT = "importing cache manifest from "
_CONTEXT = re.compile(r"\[internal\] load (?:build |\.|remote )|\[(?:context )?\S+\] load ")
_EXPORT = re.compile(r"exporting |pushing |merging manifest list |importing to docker|sending tar")
#: The names of the vertices of BuildKit's cache exporters (cache/remotecache/*, to BuildKit 0.32).
_CACHE_EXPORT = re.compile(r"exporting cache to |exporting to GitHub Actions Cache")
#: Vertices of buildx, whose times are by this machine's clock.
_CLIENT = re.compile(
    r"\[internal\] (?:booting |load local bake |waiting for |connecting )|resolving provenance|"
    r"merging manifest list |pushing \S+ with docker|importing to docker|\[internal\] pushing "
)
_FLAG = re.compile(r"--(?P<name>[a-z-]+)(?:=(?P<value>\S+))?\s+")
#: `<<EOF`, and in a RUN its first line: `<<EOF (umask 0002...)`.
_HEREDOC = re.compile(r"<<-?[\"']?\w+[\"']?(?: \((?P<line>.*?)(?:\.\.\.)?\)$)?")
#: A comment, or the shell's no-op where there is no heredoc: `RUN : install uv && pip install uv`.
_COMMENT = re.compile(r"#+\s*(?P<comment>.+)|:\s+(?P<words>[^;&]+?)\s*(?:;|&&|$)")
#: What says little about an image: Docker Hub's name, and the digest.
_IMAGE = re.compile(r"\bdocker\.io/(?:library/)?|@sha256:[0-9a-f]+")


@dataclass(frozen=True)
class VertexName:
    """What a vertex's name says."""

    kind: StepKind
    text: str  # its instruction, like `FROM python`, or all of its name but `[internal]`
    stage: str = ""  # its stage; empty for none
    platform: str = ""  # its platform; empty if the name has none
    number: int = 0  # its place in the stage, from 1; 0 if it is not an instruction
    total: int = 0  # the number of instructions of the stage
    reference: str = ""  # the cache reference that it imports
    client: bool = False  # it is a vertex of buildx, not of BuildKit

    @functools.cached_property
    def short(self) -> str:
        """A short name in one line, like `copy sources/dags` or `install Airflow`."""
        text = " ".join(self.text.split())
        word, _, rest = text.partition(" ")
        if word not in {"RUN", "COPY", "ADD"}:
            return _IMAGE.sub("", text)
        flags: dict[str, str] = {}
        while flag := _FLAG.match(rest):
            flags[flag["name"]] = flag["value"] or ""
            rest = rest[flag.end() :]
        return _run(rest) if word == "RUN" else _copy(word, rest, flags.get("from", ""))

    @property
    def title(self) -> str:
        """The short name with its place: `[main 4/9] install Airflow`."""
        place = f"{self.stage} {self.number}/{self.total}".strip()
        return f"[{place}] {self.short}" if self.number else self.short


@functools.lru_cache(maxsize=4096)
def parse(name: str) -> VertexName:
    """Parse the name of a vertex."""
    match = _NUMBERED.match(name)
    if match:
        words = match["words"].split()
        platform = next((word for word in words if _PLATFORM.fullmatch(word)), "")
        stage = words[-1] if words and words[-1] != platform else ""
        kind = StepKind.BASE if match["text"].startswith("FROM ") else StepKind.STEP
        numbers = int(match["number"]), int(match["total"])
        return VertexName(kind, match["text"], stage, platform, *numbers)
    if name.startswith(_IMPORT):
        return VertexName(StepKind.IMPORT, name, reference=name.removeprefix(_IMPORT))
    kind, client = StepKind.INTERNAL, bool(_CLIENT.match(name))
    if _CONTEXT.match(name) and not client and " load metadata " not in name:
        kind = StepKind.CONTEXT
    elif _EXPORT.match(name):
        kind = StepKind.EXPORT
    return VertexName(kind, name.removeprefix("[internal] "), client=client)


def is_cache_export(name: str) -> bool:
    """Return whether a vertex writes a cache."""
    return bool(_CACHE_EXPORT.match(name))


def _run(command: str) -> str:
    heredoc = _HEREDOC.search(command)
    line = (heredoc["line"] or "") if heredoc else ""
    if heredoc and not heredoc.start() and line:
        command = line
    comment = _COMMENT.match(line or command)
    return (comment["comment"] or comment["words"]) if comment else command or "RUN"


def _copy(word: str, rest: str, origin: str) -> str:
    *sources, target = rest.split() or [""]
    if not sources:
        return f"{word} {rest}".strip()
    if all(_HEREDOC.match(source) for source in sources):
        return f"write {target}"
    return " ".join((word.lower(), *sources, *(("from", origin) if origin else ())))
