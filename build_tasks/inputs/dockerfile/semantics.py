"""What instructions mean to BuildKit, however they are written.

Spaces, quotes, the order of flags, the names of heredocs and of cache mounts are no part of a
step's cache key. Each of these was measured on BuildKit 0.25; everything else is kept as written.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence

from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import Instruction
from build_tasks.inputs.dockerfile.expansion import expand, expand_heredoc

#: BuildKit's synonyms for options of a mount.
_SYNONYMS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_HEREDOC = re.compile(r"<<(?P<dash>-?)(?P<name>[\"']?\w+[\"']?)")
_OCTAL = re.compile(r"0*([0-7]+)")
#: Marks the name of a stage that an instruction reads.
_STAGE = "\0stage\0"
_STAGE_NAME = re.compile(rf"{_STAGE}([^,\0]*)")


def with_stages(meaning: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """Return a meaning with other names of stages."""
    return tuple(
        _STAGE_NAME.sub(lambda match: f"{_STAGE}{names.get(match[1], match[1])}", part)
        for part in meaning
    )


def run(instruction: Instruction, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the meaning of a RUN: its flags, then its command."""
    flags, command = _flags(instruction, values)
    heredoc = _HEREDOC.fullmatch(command)
    if heredoc and instruction.body:
        return (*flags, f"script {heredoc['dash']}", *instruction.body[:-1])
    return (*flags, *(exec_form(command) or (command,)), *instruction.body)


def copy(instruction: Instruction, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the meaning of a COPY or an ADD: its flags, its sources, and last its target."""
    *sources, target = arguments(instruction) or [""]
    body = (
        instruction.body
        if quoted(instruction)
        else [expand_heredoc(line, values) for line in instruction.body]
    )
    paths = [_source(word, values) for word in sources]
    return (
        instruction.word,
        *_flags(instruction, values)[0],
        *paths,
        *body,
        expand(target, values),
    )


def workdir(instruction: Instruction, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the meaning of a WORKDIR."""
    return (posixpath.normpath(expand(instruction.rest, values)),)


def quoted(instruction: Instruction) -> bool:
    """Return whether the name of a heredoc is quoted, so that its variables are not replaced."""
    return '<<"' in instruction.head or "<<'" in instruction.head


def arguments(instruction: Instruction) -> list[str]:
    """Return the words of an instruction after its flags, in either form."""
    rest = dockerfile.flags(instruction)[1]
    return [*(exec_form(rest) or dockerfile.words(rest))]


def exec_form(text: str) -> tuple[str, ...] | None:
    """Return the words of a JSON array, None for any other text."""
    if not text.startswith("["):
        return None
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(items) if all(isinstance(item, str) for item in items) else None


def configuration(
    instruction: Instruction, before: Mapping[str, object], values: Mapping[str, str]
) -> dict[str, object]:
    """Return the image's configuration after an instruction that sets a part of it."""
    known = before.get(instruction.word)
    words = exec_form(instruction.rest)
    value: object
    if instruction.word == "LABEL":
        labels = dockerfile.pairs(instruction).items()
        added = {expand(name, values): expand(text or "", values) for name, text in labels}
        value = {**(known if isinstance(known, dict) else {}), **added}
    elif instruction.word in {"EXPOSE", "VOLUME"}:
        items = [expand(word, values) for word in words or dockerfile.words(instruction.rest)]
        if instruction.word == "EXPOSE":
            items = [item.lower() if "/" in item else f"{item}/tcp" for item in items]
        value = sorted({*(known if isinstance(known, list) else ()), *items})
    elif instruction.word in {"CMD", "ENTRYPOINT", "HEALTHCHECK"}:
        value = [*(words or (instruction.rest,))]
    else:
        value = [*(words or (expand(instruction.rest, values),))]
    return {**before, instruction.word: value}


def _flags(instruction: Instruction, values: Mapping[str, str]) -> tuple[list[str], str]:
    """Return the meaning of an instruction's flags, in order, and the rest."""
    flags, rest = dockerfile.flags(instruction)
    return sorted(_flag(name, expand(value, values)) for name, value in flags), rest


def _flag(name: str, value: str) -> str:
    if name == "from":
        return f"from={_STAGE}{value.lower()}"
    if name == "chmod" and (octal := _OCTAL.fullmatch(value)):
        return f"chmod={octal[1]}"
    return f"mount={_mount(value)}" if name == "mount" else f"{name}={value}"


def _mount(value: str) -> str:
    options = mount_options(value)
    if options.get("type") == "cache":
        options.pop("id", None)
    if "from" in options:
        options["from"] = f"{_STAGE}{options['from'].lower()}"
    return ",".join(f"{name}={options[name]}" for name in sorted(options))


def mount_options(value: str) -> dict[str, str]:
    """Return the options of a `--mount`, under their full names."""
    parts = (option.partition("=") for option in value.split(","))
    return {_SYNONYMS.get(name, name): text if equals else "true" for name, equals, text in parts}


def _source(word: str, values: Mapping[str, str]) -> str:
    if word.startswith(("<<", "git@")) or "://" in word:
        return re.sub(r"^(<<-?)[\"']?(\w+)[\"']?$", r"\1\2", word)
    return posixpath.normpath(expand(word, values).lstrip("/") or ".")
