"""The fingerprint of everything that an image is made of, which the image carries as a label.

Each part has its own hash, so that a difference can be named. What changes with every build
(commit, build id, date) and what changes nothing (comments, times, the umask) are no inputs. Nor
is the content of the base image, which is not known before the build: the first layers show it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import Instruction, inputs
from build_tasks.text.formatting import around_difference

#: Raise it when equal inputs get other hashes than before.
SCHEME = 3
LABEL = "org.apache.airflow.image.inputs"
#: The arguments with the image that a build stands on: of Airflow's images, and of those on top.
BASE_ARGUMENT = "BASE_IMAGE"
IMAGE_ARGUMENT = "AIRFLOW_IMAGE"
#: Arguments that change with every build; the Dockerfiles declare them below all steps.
LATE = frozenset({"BUILD_ID", "COMMIT_SHA"})
#: The parts, in the order in which differences are shown.
PARTS = ("dockerfile", "base", "arguments", "constraints", "files")
#: Hexadecimal digits of a part's hash; the label has at most 110 bytes.
DIGITS = 12
#: Characters of an argument that are shown.
WIDTH = 30
_LABEL = re.compile(rf"{SCHEME}" + "".join(rf" {part}=([0-9a-f]{{{DIGITS}}})" for part in PARTS))
_CONSTRAINTS = re.compile(r"constraints[/:]")
#: Contexts whose files lie over those of another one. How a checkout is divided between the two
#: depends on what was built before, and the image does not.
_OVER = {"changes:": "sources:"}


@dataclass(frozen=True)
class Inputs:
    """Everything that an image is made of.

    Args:
        instructions: the Dockerfile.
        arguments: its arguments, without those that change with every build.
        base: the reference of the base image.
        base_argument: the argument that has it.
        base_fingerprint: the name and fingerprint of the base image, if the same project makes it:
            these count, whatever registry it comes from.
        files: the files that its steps read, by path, as `MODE SHA`; those of a named context as
            `CONTEXT:PATH`.
        effects: what the Dockerfile makes, however it is written; empty where that is not known.
    """

    instructions: tuple[Instruction, ...]
    arguments: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    effects: str = field(default="", repr=False)
    base_argument: str = BASE_ARGUMENT
    base_fingerprint: str = ""

    @property
    def fingerprint(self) -> str:
        """The label: the scheme, then a short hash of each part."""
        merged = _merged(self.files)
        constraints = {path: text for path, text in merged.items() if _CONSTRAINTS.match(path)}
        content = {
            "dockerfile": self.effects or [f"{i.stage} {i.text}" for i in self.instructions],
            "base": self.base_fingerprint or self.base,
            "arguments": dict(self.arguments),
            "constraints": constraints,
            "files": {path: text for path, text in merged.items() if path not in constraints},
        }
        return " ".join((str(SCHEME), *(f"{part}={_hash(content[part])}" for part in PARTS)))


def gather(
    instructions: Sequence[Instruction],
    arguments: Mapping[str, str],
    files: Mapping[str, str],
    base_argument: str = BASE_ARGUMENT,
    base_fingerprint: str = "",
) -> Inputs:
    """Return the inputs of an image.

    Args:
        instructions: the Dockerfile.
        arguments: the build arguments.
        files: all files that the build can read, by path, as `MODE SHA`.
        base_argument: the argument with the base image; empty if the Dockerfile itself names that.
        base_fingerprint: the name and fingerprint of the base image, if the same project makes it.
    """
    read, effects = files, ""
    counted = dockerfile.declared(instructions) - {*LATE, base_argument}
    if not dockerfile.not_understood(instructions):
        uses = inputs.needed(instructions, arguments)
        read = {path: files[path] for use in uses for path in use.reads(files)}
        # Arguments are a part of their own: the effects have their names, not their values, except
        # where these choose stages.
        symbols = {name: f"\0{name}\0" for name in (*arguments, *LATE, base_argument)}
        choices = inputs.choices(instructions, arguments)
        effects = inputs.effects(instructions, {**symbols, **choices})
        seen = {name for name in counted if json.dumps(f"\0{name}\0")[1:-1] in effects}
        counted &= seen | choices.keys()  # those that choose stages tell which files are read
    return Inputs(
        tuple(instructions),
        {name: text for name, text in arguments.items() if name in counted},
        arguments.get(base_argument, ""),
        dict(read),
        effects,
        base_argument,
        base_fingerprint,
    )


def changed(label: str, now: str) -> tuple[str, ...]:
    """Return the parts in which an image's label differs from the present fingerprint.

    Args:
        label: the image's label; empty if it has none.
        now: the present fingerprint.

    Returns:
        Names of PARTS; `inputs` alone if the label cannot be compared.
    """
    before, after = _LABEL.fullmatch(label), _LABEL.fullmatch(now)
    if not before or not after:
        return ("inputs",)
    hashes = zip(PARTS, before.groups(), after.groups(), strict=True)
    return tuple(part for part, old, new in hashes if old != new)


def begins_with(image: Sequence[str], base: Sequence[str]) -> bool:
    """Return whether an image's layers (`rootfs.diff_ids`) begin with those of its base."""
    return bool(base) and tuple(image[: len(base)]) == tuple(base)


def details(part: str, before: Inputs, now: Inputs) -> list[str]:
    """Return what changed in one of PARTS, one line each."""
    if part == "dockerfile":
        old = [instruction.squeezed for instruction in before.instructions]
        new = [instruction.squeezed for instruction in now.instructions]
        added = [i for i in now.instructions if i.squeezed not in old]
        if not added and sorted(old) == sorted(new):
            return ["another order"] if old != new else []
        return [f"line {i.line}: {i.head}" for i in added] or ["an instruction is gone"]
    if part == "base":  # the same reference may mean another image now
        return [f"{before.base} -> {now.base}"] if before.base != now.base else []
    if part == "arguments":
        return [
            f"{name}: {_change(before.arguments.get(name, ''), now.arguments.get(name, ''))}"
            for name in _different(before.arguments, now.arguments)
        ]
    paths = _different(_merged(before.files), _merged(now.files))
    return [path for path in paths if bool(_CONSTRAINTS.match(path)) is (part == "constraints")]


def covered(path: str) -> str:
    """Return the path that a file of another context lies over, empty if it does over none."""
    for above, below in _OVER.items():
        if path.startswith(above):
            return below + path.removeprefix(above)
    return ""


def _merged(files: Mapping[str, str]) -> Mapping[str, str]:
    """Return the files of an image, where those of one context lie over those of another."""
    above = {path: covered(path) for path in files if covered(path)}
    below = {path: text for path, text in files.items() if path not in above}
    return below | {name: files[path] for path, name in above.items()}


def _change(before: str, now: str) -> str:
    return " -> ".join(map(repr, around_difference(before, now, WIDTH)))


def _different(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:DIGITS]
