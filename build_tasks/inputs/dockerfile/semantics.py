"""What an instruction means to BuildKit, apart from how it is written.

Spaces, quotes, the order of flags and the names of heredocs are no part of a step's cache key, and
neither is the name of a cache mount. Each of these was measured on BuildKit 0.25; what was not is
kept as it is written.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence

from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import Instruction
from build_tasks.inputs.dockerfile.expansion import expand

#: The names that BuildKit takes for one option of a mount.
_SYNONYMS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_HEREDOC = re.compile(r"<<(?P<dash>-?)(?P<name>[\"']?\w+[\"']?)")
_OCTAL = re.compile(r"0*([0-7]+)")
#: Where the name of a stage stands that an instruction reads.
STAGE = "\0stage\0"


def run(one: Instruction, seen: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a RUN means: its flags, then its command.

    Args:
        one: the instruction.
        seen: the variables that it can see.
    """
    flags = dockerfile.flags(one)
    said = sorted(_flag(name, expand(value, seen)) for name, value in flags)
    command = dockerfile.after_flags(one)
    body = one.text.split("\n")[1:]
    alone = _HEREDOC.fullmatch(command)
    if alone and body:
        return (*said, f"script {alone['dash']}", *body[:-1])
    return (*said, *(exec_form(command) or (command,)), *body)


def copy(one: Instruction, seen: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a COPY or an ADD means: its flags, its sources, and last its target."""
    said = sorted(_flag(name, expand(value, seen)) for name, value in dockerfile.flags(one))
    *sources, target = [*arguments(one), ""][: len(arguments(one)) or 1]
    paths = [_source(word, seen) for word in sources]
    quoted = '<<"' in one.head or "<<'" in one.head
    body = [line if quoted else expand_lines(line, seen) for line in one.text.split("\n")[1:]]
    return (one.word, *said, *paths, *body, expand(target, seen))


def workdir(one: Instruction, seen: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a WORKDIR means."""
    return (posixpath.normpath(expand(one.rest, seen)),)


def arguments(one: Instruction) -> list[str]:
    """Return the words of an instruction after its flags, of either form."""
    rest = dockerfile.after_flags(one)
    return [*(exec_form(rest) or dockerfile.words(rest))]


def exec_form(text: str) -> tuple[str, ...] | None:
    """Return the words of a JSON array, None if the text is none."""
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(found) if all(isinstance(word, str) for word in found) else None


def configuration(
    one: Instruction, before: Mapping[str, object], seen: Mapping[str, str]
) -> dict[str, object]:
    """Return the image's configuration after an instruction that sets a part of it.

    Args:
        one: the instruction.
        before: the configuration before.
        seen: the variables that it can see.
    """
    known = before.get(one.word)
    if one.word == "LABEL":
        given = {expand(k, seen): expand(v or "", seen) for k, v in dockerfile.pairs(one).items()}
        value: object = {**(known if isinstance(known, dict) else {}), **given}
    elif one.word in {"EXPOSE", "VOLUME"}:
        words = [expand(word, seen) for word in exec_form(one.rest) or dockerfile.words(one.rest)]
        if one.word == "EXPOSE":
            words = [word.lower() if "/" in word else f"{word}/tcp" for word in words]
        value = sorted({*(known if isinstance(known, list) else ()), *words})
    else:
        value = [*(exec_form(one.rest) or (expand(one.rest, seen),))]
        if one.word in {"CMD", "ENTRYPOINT", "HEALTHCHECK"}:
            value = [*(exec_form(one.rest) or (one.rest,))]
    return {**before, one.word: value}


def expand_lines(line: str, seen: Mapping[str, str]) -> str:
    """Return a line of a heredoc with its variables replaced; quotes stay."""
    return '"'.join(expand_single(part, seen) for part in line.split('"'))


def expand_single(text: str, seen: Mapping[str, str]) -> str:
    """Return a text with its variables replaced; single quotes stay."""
    return "'".join(expand(part, seen) for part in text.split("'"))


def _flag(name: str, value: str) -> str:
    if name == "from":
        return f"from={STAGE}{value.lower()}"
    if name == "chmod" and (octal := _OCTAL.fullmatch(value)):
        return f"chmod={octal[1]}"
    return f"mount={_mount(value.split(','))}" if name == "mount" else f"{name}={value}"


def _mount(options: Sequence[str]) -> str:
    given: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        given[_SYNONYMS.get(name, name)] = value if equals else "true"
    if given.get("type") == "cache":
        given.pop("id", None)
    if "from" in given:
        given["from"] = f"{STAGE}{given['from'].lower()}"
    return ",".join(f"{name}={given[name]}" for name in sorted(given))


def _source(word: str, seen: Mapping[str, str]) -> str:
    if word.startswith(("<<", "git@")) or "://" in word:
        return re.sub(r"^(<<-?)[\"']?(\w+)[\"']?$", r"\1\2", word)
    return posixpath.normpath(expand(word, seen).lstrip("/") or ".")
