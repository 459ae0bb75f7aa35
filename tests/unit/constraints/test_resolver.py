"""Commands of uv, and its answers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.constraints.resolver import Uv, absence
from build_tasks.errors import AuthError, DependencyError, DiskError, NetworkError
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed

UV = Uv({"UV_DEFAULT_INDEX": "https://me:pw@h/"}, ("--no-binary", "x"))


def test_command_resolves_for_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Command] = []

    def run(command: Command, **options: object) -> Completed:
        commands.append(command)
        assert options["environment"] == UV.environment
        return Completed(command, 0, "", "")

    monkeypatch.setattr(process, "run", run)
    UV.compile_into(Path("out"), "3.9", Platform.ARM64, "x", Path("pins"))
    assert commands[0][1:] == (
        *("pip", "compile", "-", "--quiet", "--no-header", "--no-annotate"),
        *("--python", sys.executable, "--python-version", "3.9"),
        *("--python-platform", "aarch64-manylinux_2_28"),
        *("--constraints", "pins", "--output-file", "out"),
        *("--no-binary", "x"),
    )


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("  \u00d7 No solution found when\n  \u2570 a and b\n", DependencyError),
        ("error: Failed to fetch: `x`\n", NetworkError),
        (
            "error: No build of `x`\n  cause: No solution found\n  Failed to fetch: `y`",
            NetworkError,
        ),
        ("error: No x\n  cause: Failed to build `y`\n  cause: The build backend", DependencyError),
        ("error: No cache\n  cause: Permission denied (os error 13)\n", DiskError),
        ("error: No cache\n  cause: Read-only file system (os error 30) at path `x`\n", DiskError),
        ("  \u00d7 No solution found when\n hint: lack (401 Unauthorized)\n", AuthError),
    ],
)
def test_an_error_of_uv_is_one_line(
    monkeypatch: pytest.MonkeyPatch, stderr: str, kind: type[Exception]
) -> None:
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 1, "", stderr))
    with pytest.raises(kind, match=r"^constraints-3\.9: [Ne]") as caught:
        UV.compile_into(Path("out"), "3.9", Platform.AMD64, "x", Path("pins"))
    assert str(caught.value).isascii()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        "error: No solution found when resolving dependencies\n  cause: {because}\n\nhint: {hint}",
        "  \u00d7 No solution found when resolving:\n  ╰─▶ {because}\n\n      hint: {hint}",
    ],
)
def test_a_package_that_the_folder_lacks_is_named(message: str) -> None:
    hint = "Packages were unavailable because the network was disabled."
    lines = (
        "Because b was not found in the\n      cache and all versions of a depend on b, we can",
        "conclude that a cannot be used.",
    )
    told = absence(message.format(because="\n      ".join(lines), hint=hint))
    assert told == (
        "the folder of packages (index.find-links) lacks b, and no index is used (index.offline): "
        "Because b was not found in the cache and all versions of a depend on b, we can conclude "
        "that a cannot be used."
    )
    assert absence("Because there is no version of c==1.0 and you require c==1.0") == ""


def test_the_size_of_a_package_is_that_of_its_largest_wheel_or_its_sdist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock = """\
[[packages]]
name = "big"
sdist = { url = "x", size = 9000 }
wheels = [{ url = "a", size = 700 }, { url = "b", size = 800 }]
[[packages]]
name = "small"
sdist = { url = "x", size = 200 }
[[packages]]
name = "private"
wheels = [{ url = "c" }]
"""

    def run(command: Command, *, input: str, **_: object) -> Completed:
        assert (command[-2:], input) == (("--format", "pylock.toml"), "big==1\nsmall==1\n")
        Path(command[command.index("--output-file") + 1]).write_text(lock)
        return Completed(command, 0, "", "")

    monkeypatch.setattr(process, "run", run)
    sizes = UV.wheel_sizes("3.9", Platform.AMD64, "big==1\nsmall==1\n")
    assert sizes == {"big": 800, "small": 200, "private": 1_000_000}


@pytest.mark.parametrize("unknown", [(), ("c",), ("a", "e"), ("a", "b", "c", "d", "e")])
def test_versions_that_the_index_has_are_found(
    monkeypatch: pytest.MonkeyPatch, unknown: tuple[str, ...]
) -> None:
    """Of b it has an older version; unknown packages are found by halves."""
    asked: list[str] = []

    def run(command: Command, *, input: str, **_: object) -> Completed:
        assert command[-1] == "--no-deps"
        asked.append(input)
        names = [line.partition("<=")[0] for line in input.splitlines()]
        if {*names} & {*unknown}:
            return Completed(command, 1, "", "No solution found")
        lines = (f"{name}=={'0.9' if name == 'b' else '1.0'}\n" for name in names)
        Path(command[command.index("--output-file") + 1]).write_text("".join(lines))
        return Completed(command, 0, "", "")

    monkeypatch.setattr(process, "run", run)
    pins = dict.fromkeys("abcde", "1")
    found = Uv({}).available("3.11", pins)
    assert found == {name: "1" for name in pins if name not in {"b", *unknown}}
    assert asked[0] == "a<=1\nb<=1\nc<=1\nd<=1\ne<=1\n"
    assert len(asked) == 1 or unknown


def test_no_versions_need_no_index() -> None:
    assert Uv({}).available("3.11", {}) == {}
