"""What a reader of Dockerfile.ci relies on, held."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile.ci").read_text(encoding="utf-8")
LATE = ("AIRFLOW_IMAGE_DATE_CREATED", "BUILD_ID", "COMMIT_SHA")


def instructions() -> list[str]:
    """Return the instructions, each with its continued lines and its heredoc."""
    found: list[str] = []
    lines = iter(TEXT.splitlines())
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        whole = line
        while whole.endswith("\\"):
            whole = whole[:-1] + next(lines)
        heredoc = re.search(r'<<"?(\w+)"?', whole)
        if heredoc:
            for inner in lines:
                whole += f"\n{inner}"
                if inner == heredoc[1]:
                    break
        found.append(whole)
    return found


ALL = instructions()


def test_no_syntax_line_costs_a_registrys_answer() -> None:
    assert not re.search(r"^#\s*syntax\s*=", TEXT, re.MULTILINE | re.IGNORECASE)


def test_what_changes_with_every_build_comes_after_every_step() -> None:
    steps = [n for n, text in enumerate(ALL) if text.startswith(("RUN", "COPY", "WORKDIR"))]
    for name in LATE:
        used = [n for n, text in enumerate(ALL) if name in text]
        assert used
        assert min(used) > max(steps), name


def test_the_sources_come_after_all_that_is_installed() -> None:
    copies = [n for n, text in enumerate(ALL) if text.startswith("COPY") and "sources/" in text]
    installs = [n for n, text in enumerate(ALL) if " install " in text]
    assert min(copies) > max(installs)


def test_every_step_that_uses_the_network_can_have_the_ca_bundle() -> None:
    users = [text for text in ALL if re.search(r"apt_get install|pip install", text)]
    assert len(users) == 4
    for text in users:
        assert "--mount=type=secret,id=ca-bundle,required=false" in text
        assert "--mount=type=cache" in text


def test_an_argument_is_declared_right_before_the_first_step_that_uses_it() -> None:
    """Else a new value would repeat steps that do not need it."""
    steps = [n for n, text in enumerate(ALL) if text.startswith(("RUN", "COPY"))]
    for number, text in enumerate(ALL):
        if not text.startswith("ARG ") or number == 0:
            continue
        name = re.split(r"[ =]", text)[1]
        after = [n for n in steps if n > number]
        if after:
            assert name in ALL[after[0]], name


def test_only_what_is_named_enters_the_context() -> None:
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    assert [rule for rule in rules if rule.startswith("!")] == [
        "!constraints/constraints-*.txt",
        "!sources/**",
    ]
