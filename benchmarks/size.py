"""Print what the PROD images weigh in a registry, compressed, beside their base and environment.

Builds the image of each profile, pushes both, and reads their manifests: bytes as the
registry keeps them, no estimate. Options of the build may follow: `size.py --python 3.13`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from build_tasks.buildx import toolchain
from build_tasks.config import loading

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("base", "Debian's packages", "virtual environment", "bytecode", "rest")


def main() -> None:
    """Build, push, read and print."""
    options = sys.argv[1:] or ["--python", "3.11"]
    columns = {"official": pushed(*options), "slim": pushed(*options, "--prod-profile", "slim")}
    weights = {name: weigh(reference) for name, reference in columns.items()}
    table = Table("MB, compressed", *weights, box=None)
    for part in PARTS:
        table.add_row(part, *(f"{weight[part] / 1e6:.1f}" for weight in weights.values()))
    table.add_row("image", *(f"{weight.total() / 1e6:.1f}" for weight in weights.values()))
    Console().print(table)


def pushed(*options: str) -> str:
    """Build and push a PROD image, and return its reference by digest."""
    command = [sys.executable, "-m", "invoke", "image.push", "--kind", "prod", *options]
    done = subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.PIPE, text=True)
    _, _, name, digest = done.stderr.strip().splitlines()[-1].split()
    return f"{name.rpartition(':')[0]}@{digest}"


def weigh(reference: str) -> Counter[str]:
    """Return the bytes of each part of an image, by the instructions that made its layers."""
    index = json.loads(inspect(reference, "--raw"))
    if "manifests" in index:
        digest = index["manifests"][0]["digest"]
        reference = f"{reference.partition('@')[0]}@{digest}"
    layers = json.loads(inspect(reference, "--raw"))["layers"]
    history = json.loads(inspect(reference, "--format", "{{json .Image}}"))["history"]
    made = [step["created_by"] for step in history if not step.get("empty_layer")]
    weights: Counter[str] = Counter()
    ours = False
    for text, layer in zip(made, layers, strict=True):
        ours = ours or "# find the Python" in text  # the first step of both segments
        weights[part(text) if ours else "base"] += layer["size"]
    return weights


def part(text: str) -> str:
    """Return what an instruction of the final segment adds."""
    if "apt_get install" in text:
        return "Debian's packages"
    if "compileall" in text or " /tmp/bytecode/" in text:
        return "bytecode"
    return "virtual environment" if re.match(r"COPY (--\S+ )*/opt/ /opt/", text) else "rest"


def inspect(reference: str, *options: str) -> Any:
    """Ask the registry about an image."""
    where = toolchain.find(loading.load().engine, start=True, announce=print)
    command = [*where.buildx, "imagetools", "inspect", *options, reference]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
