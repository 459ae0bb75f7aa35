"""A fingerprint of all that an image is made of, which the image carries as a label.

Parts have hashes of their own, so that a difference can be named. What changes with every build
(commit, build id, date) and what changes nothing (comments, times and the umask) are no inputs.
The base image's content is none either, because nobody knows it before the build: an image shows
it by the layers that it begins with.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType

from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import Instruction, inputs

#: Raised when the same inputs get other hashes than before.
SCHEME = 2
LABEL = "org.apache.airflow.image.inputs"
BASE_ARGUMENT = "BASE_IMAGE"
#: Arguments that change with every build; no step of the Dockerfiles stands below them.
LATE = frozenset({"BUILD_ID", "COMMIT_SHA"})
#: The parts, in the order in which a difference is told.
PARTS = ("dockerfile", "base", "arguments", "constraints", "files")
#: Hexadecimal digits of a part's hash: 48 bits, and the label stays below 110 bytes.
DIGITS = 12
#: Characters of an argument that are told.
WIDTH = 30
_TEXT = re.compile(rf"{SCHEME}" + "".join(rf" {part}=([0-9a-f]{{{DIGITS}}})" for part in PARTS))
_CONSTRAINTS = re.compile(r"constraints[/:]")


@dataclass(frozen=True)
class Inputs:
    """All that an image is made of.

    Args:
        instructions: the Dockerfile.
        arguments: the arguments that it declares, without those that change with every build.
        base: the reference of the base image.
        files: the files that its steps read, by path, each as `MODE SHA`; those of a named context
            as `CONTEXT:PATH`.
        effects: what the Dockerfile makes, however it is written; empty where that is not known.
    """

    instructions: tuple[Instruction, ...]
    arguments: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    base: str = ""
    files: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    effects: str = field(default="", repr=False)

    @property
    def fingerprint(self) -> str:
        """The label's text: the scheme, then a short hash of each part."""
        constraints = {path: text for path, text in self.files.items() if _CONSTRAINTS.match(path)}
        content = {
            "dockerfile": self.effects or [f"{one.stage} {one.text}" for one in self.instructions],
            "base": self.base,
            "arguments": dict(self.arguments),
            "constraints": constraints,
            "files": {path: text for path, text in self.files.items() if path not in constraints},
        }
        return " ".join((str(SCHEME), *(f"{part}={_short(content[part])}" for part in PARTS)))


def gather(
    instructions: Sequence[Instruction], arguments: Mapping[str, str], files: Mapping[str, str]
) -> Inputs:
    """Return the inputs of an image.

    Args:
        instructions: the Dockerfile.
        arguments: the arguments that the build is given.
        files: what may enter the build, by path, each as `MODE SHA`.
    """
    read, made = files, ""
    counted: AbstractSet[str] = dockerfile.declared(instructions) - {*LATE, BASE_ARGUMENT}
    if not dockerfile.not_understood(instructions):
        uses = inputs.effects(instructions, arguments).uses
        read = {path: files[path] for use in uses for path in use.reads(files)}
        # An argument's value is a part of its own: here stands which one it is.
        symbols = {name: f"\0{name}\0" for name in (*arguments, *LATE, BASE_ARGUMENT)}
        made = inputs.effects(instructions, symbols).text
        counted = {name for name in counted if json.dumps(f"\0{name}\0")[1:-1] in made}
    return Inputs(
        tuple(instructions),
        MappingProxyType({name: text for name, text in arguments.items() if name in counted}),
        arguments.get(BASE_ARGUMENT, ""),
        MappingProxyType(dict(read)),
        made,
    )


def changed(label: str, now: str) -> tuple[str, ...]:
    """Return the parts in which an image's label differs from what a build would give it now.

    Args:
        label: the image's label; empty if it has none.
        now: the fingerprint of the inputs as they are.

    Returns:
        Names of PARTS; `inputs` alone if the label cannot be compared.
    """
    was, has = _TEXT.fullmatch(label), _TEXT.fullmatch(now)
    if not was or not has:
        return ("inputs",)
    return tuple(
        part for part, a, b in zip(PARTS, was.groups(), has.groups(), strict=True) if a != b
    )


def begins_with(image: Sequence[str], base: Sequence[str]) -> bool:
    """Return whether an image was made from a base: its layers begin with the base's.

    Args:
        image: the image's layers, as `rootfs.diff_ids` has them.
        base: those of the base.
    """
    return bool(base) and tuple(image[: len(base)]) == tuple(base)


def details(part: str, before: Inputs, now: Inputs) -> list[str]:
    """Return what changed in one of PARTS, one line each."""
    if part == "dockerfile":
        was, has = ([one.squeezed for one in each.instructions] for each in (before, now))
        new = [one for one in now.instructions if one.squeezed not in was]
        if not new and sorted(was) == sorted(has):
            return ["another order"] if was != has else []
        return [f"line {one.line}: {one.head}" for one in new] or ["an instruction is gone"]
    if part == "base":
        # Of one name that means another image now, there is no more to say.
        return [f"{before.base} -> {now.base}"] if before.base != now.base else []
    if part == "arguments":
        return [
            f"{name}: {_short_value(before, name)} -> {_short_value(now, name)}"
            for name in _different(before.arguments, now.arguments)
        ]
    paths = _different(before.files, now.files)
    return [path for path in paths if bool(_CONSTRAINTS.match(path)) is (part == "constraints")]


def _short_value(inputs: Inputs, name: str) -> str:
    value = inputs.arguments.get(name, "")
    return repr(value if len(value) <= WIDTH else f"{value[: WIDTH - 3]}...")


def _different(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]


def _short(content: object) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:DIGITS]
