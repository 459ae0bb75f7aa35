"""What instructions mean to BuildKit, however they are written.

Spaces, quotes, the order of flags, the names of heredocs and of cache mounts are no part of a
step's cache key. Each of these was measured on BuildKit 0.25; everything else is kept as written.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import Instruction
from build_tasks.inputs.dockerfile.expansion import expand, expand_heredoc

#: What runs an instruction without brackets, unless SHELL says otherwise.
SHELL = ("/bin/sh", "-c")
#: BuildKit's synonyms for options of a mount.
_SYNONYMS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_HEREDOC = re.compile(r"<<(?P<dash>-?)(?P<name>[\"']?\w+[\"']?)")
#: How sources begin that are not in the build context.
_REMOTE = ("http://", "https://", "git@", "<<")
_OCTAL = re.compile(r"0*([0-7]+)")
#: Marks the name of a stage that an instruction reads.
_STAGE = "\0stage\0"
_STAGE_NAME = re.compile(rf"{_STAGE}([^,\0]*)")

#: Names and values of flags.
_Flags = Sequence[tuple[str, str]]


def with_stages(meaning: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """Return a meaning with other names of stages."""
    return tuple(
        _STAGE_NAME.sub(lambda match: f"{_STAGE}{names.get(match[1], match[1])}", part)
        for part in meaning
    )


@dataclass(frozen=True)
class Step:
    """What a step means, and what it reads.

    Args:
        meaning: its parts; that of a COPY, an ADD or a WORKDIR ends with the target.
        files: the paths or patterns of the build context that it reads; `.` is everything.
        stages: the stages, contexts and images that it reads.
    """

    meaning: tuple[str, ...]
    files: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()


def step(instruction: Instruction, values: Mapping[str, str]) -> Step:
    """Return what a RUN, COPY, ADD or WORKDIR means with some variables."""
    if instruction.word == "WORKDIR":
        return Step((posixpath.normpath(expand(instruction.rest, values)),))
    given, rest = dockerfile.flags(instruction)
    flags = [(name, expand(value, values)) for name, value in given]
    if instruction.word == "RUN":
        return _run(instruction, flags, rest)
    return _copy(instruction, flags, rest, values)


def _run(instruction: Instruction, flags: _Flags, command: str) -> Step:
    heredoc = _HEREDOC.fullmatch(command)
    if heredoc and instruction.body:
        script = (f"script {heredoc['dash']}", *instruction.body[:-1])
    else:
        script = (*(exec_form(command) or (command,)), *instruction.body)
    files, stages = [], []
    for options in (_mount_options(value) for name, value in flags if name == "mount"):
        if options.get("from"):
            stages.append(options["from"].lower())
        elif options.get("type", "bind") == "bind":
            files.append(_path(options.get("source", "")))
    return Step((*_sorted(flags), *script), tuple(files), tuple(stages))


def _copy(instruction: Instruction, flags: _Flags, rest: str, values: Mapping[str, str]) -> Step:
    *sources, target = exec_form(rest) or dockerfile.words(rest) or [""]
    body = instruction.body
    if not quoted(instruction):
        body = [expand_heredoc(line, values) for line in body]
    paths = [_source(word, values) for word in sources]
    meaning = (instruction.word, *_sorted(flags), *paths, *body, expand(target, values))
    if origin := dict(flags).get("from"):
        return Step(meaning, stages=(origin.lower(),))
    words = [expand(word, values) for word in sources]
    return Step(meaning, tuple(_path(word) for word in words if not word.startswith(_REMOTE)))


def quoted(instruction: Instruction) -> bool:
    """Return whether the name of a heredoc is quoted, so that its variables are not replaced."""
    return '<<"' in instruction.head or "<<'" in instruction.head


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
        # The form without brackets, which runs in a shell, is a text.
        value = instruction.rest if words is None else [*words]
    else:
        value = [*(words or (expand(instruction.rest, values),))]
    return {**before, instruction.word: value}


def _sorted(flags: _Flags) -> list[str]:
    return sorted(_flag(name, value) for name, value in flags)


def _flag(name: str, value: str) -> str:
    if name == "from":
        return f"from={_STAGE}{value.lower()}"
    if name == "chmod" and (octal := _OCTAL.fullmatch(value)):
        return f"chmod={octal[1]}"
    return f"mount={_mount(value)}" if name == "mount" else f"{name}={value}"


def _mount(value: str) -> str:
    options = _mount_options(value)
    if options.get("type") == "cache":
        options.pop("id", None)
    if "from" in options:
        options["from"] = f"{_STAGE}{options['from'].lower()}"
    return ",".join(f"{name}={options[name]}" for name in sorted(options))


def _mount_options(value: str) -> dict[str, str]:
    """Return the options of a `--mount`, under their full names."""
    parts = (option.partition("=") for option in value.split(","))
    return {_SYNONYMS.get(name, name): text if equals else "true" for name, equals, text in parts}


def _source(word: str, values: Mapping[str, str]) -> str:
    if word.startswith(("<<", "git@")) or "://" in word:
        return re.sub(r"^(<<-?)[\"']?(\w+)[\"']?$", r"\1\2", word)
    return _path(expand(word, values))


def _path(path: str) -> str:
    """Return a path of a build context as BuildKit cleans it."""
    return posixpath.normpath(path.lstrip("/") or ".")
