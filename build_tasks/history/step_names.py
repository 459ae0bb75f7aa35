"""Short names for the vertices of BuildKit's graph, as tables and reports show them.

BuildKit names a step by its instruction: its place, all of its flags, and of a heredoc the first
line. The short name of a RUN is the comment that its heredoc begins with, or its command.
"""

from __future__ import annotations

import re
from functools import lru_cache

#: `[linux/arm64 main 2/5] ` before an instruction, `[internal] ` before BuildKit's own vertices.
_PREFIX = re.compile(r"\[(?:[^\]]*\b\d+/\d+|internal)\] ")
_FLAG = re.compile(r"--(?P<name>[a-z-]+)(?:=(?P<value>\S+))?\s+")
#: `<<EOF`, and in a RUN its first line: `<<EOF (umask 0002...)`.
_HEREDOC = re.compile(r"<<-?[\"']?\w+[\"']?(?: \((?P<line>.*?)(?:\.\.\.)?\)$)?")
#: A comment, or the shell's no-op where there is no heredoc: `RUN : install uv && pip install uv`.
_COMMENT = re.compile(r"#+\s*(?P<comment>.+)|:\s+(?P<words>[^;&]+?)\s*(?:;|&&|$)")
#: What says little about an image: Docker Hub's name, and the digest.
_IMAGE = re.compile(r"\bdocker\.io/(?:library/)?|@sha256:[0-9a-f]+")


@lru_cache(maxsize=4096)
def short(vertex_name: str) -> str:
    """Return a vertex's short name, one line: `copy sources/dags` for `[main 3/9] COPY ...`."""
    text = " ".join(_PREFIX.sub("", vertex_name, count=1).split())
    word, _, rest = text.partition(" ")
    if word not in {"RUN", "COPY", "ADD"}:
        return _IMAGE.sub("", text)
    flags: dict[str, str] = {}
    while flag := _FLAG.match(rest):
        flags[flag["name"]] = flag["value"] or ""
        rest = rest[flag.end() :]
    return _run(rest) if word == "RUN" else _copy(word, rest, flags.get("from", ""))


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
